"""What is asked of the calendar."""
