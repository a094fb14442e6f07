"""Routes: the audit trail, and digests."""
