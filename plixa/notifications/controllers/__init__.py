"""Routes: the local mailbox, and browsers that want notifications."""
