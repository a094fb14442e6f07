"""Writes: tickets by both sides and the clock, what staff keep for answering them, articles."""
