"""What changes the calendar and what it is made of."""
