"""Tests that drive real processes: emulator, worker and client, as a user starts them."""
