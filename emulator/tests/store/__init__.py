"""What is kept of a task hub, in memory or in a file, and found again."""
