"""What may be said of a contact."""
