"""Plixa's own staff: their accounts, every workspace and what may be done to it, impersonation, the public waitlist."""
