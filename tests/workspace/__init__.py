"""The workspace module."""
