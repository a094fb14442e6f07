"""What automation is told to do, and whom it can turn to."""
