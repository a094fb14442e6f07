"""Reads: sessions and members, tokens and who is behind them, the plan in force."""
