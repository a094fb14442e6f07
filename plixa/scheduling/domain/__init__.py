"""What may be booked, when, and what may happen to it; pure."""
