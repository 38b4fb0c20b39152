"""The tests that take long or need much: browser, Azure, packaging, chaos, other SDKs."""
