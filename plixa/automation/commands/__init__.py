"""What automation does, and how it is told to."""
