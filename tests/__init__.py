"""The tests: this folder mirrors the project, tests/system drives real processes."""
