"""The tests that a change needs; tests/rest has all others."""
