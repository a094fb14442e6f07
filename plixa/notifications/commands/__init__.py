"""Writing: which browsers are told, and of what."""
