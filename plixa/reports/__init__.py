"""What owners and staff look up afterwards: the audit trail and digests."""
