"""Reads: tickets as customers and as staff see them, their history, who looks at them, articles."""
