"""What staff write to many, and how it fares."""
