"""Writing: what reading the trail leaves in it, and who gets digests."""
