"""The quickstart's other forms, in Python."""
