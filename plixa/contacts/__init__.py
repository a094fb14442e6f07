"""Who writes to a workspace: contacts and the addresses by which each is known."""
