"""Reading: the local mailbox, and which browsers are to be told of something."""
