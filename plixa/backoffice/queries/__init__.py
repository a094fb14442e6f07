"""Reads: the staff, every workspace, the waitlist."""
