"""What may happen to a ticket, and what an article may say: events, the aggregate that decides, the errors it refuses with."""
