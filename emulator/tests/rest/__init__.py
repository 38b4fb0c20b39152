"""What every change need not run: other programs, browsers, long runs."""
