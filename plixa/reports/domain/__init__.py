"""What a digest tells, of which days, and how it is drawn."""
