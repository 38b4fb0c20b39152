"""Whatever is sent to the emulator, it goes on: random calls, then a run that ends."""
