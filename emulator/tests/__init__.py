"""Tests of the stand-in emulator."""
