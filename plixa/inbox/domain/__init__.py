"""What may happen in a conversation: events, the aggregate that decides, the errors it refuses with."""
