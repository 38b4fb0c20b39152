"""The dashboard: its steps, its pages, its actions, and all of it in a browser."""
