"""The reports module."""
