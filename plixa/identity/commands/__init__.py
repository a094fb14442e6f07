"""Writes: registering, signing in and out, second factors, passwords, API tokens, one's own account."""
