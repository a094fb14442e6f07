"""Writes: the staff, suspending and licensing workspaces, impersonating members, joining the waitlist."""
