"""Reading: the audit trail, and what digests tell."""
