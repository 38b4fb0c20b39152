"""The quickstart's other forms."""
