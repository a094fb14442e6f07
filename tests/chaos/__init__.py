"""Proofs with real processes: they are killed while they work, and nothing is lost, repeated or half done."""
