"""Routes of a workspace's owner, and what every member reads."""
