"""Plixa's own staff at work."""
