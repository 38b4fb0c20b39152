"""Tests of the replay checks."""
