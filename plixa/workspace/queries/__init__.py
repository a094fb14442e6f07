"""Reads: settings, hours, departments, team, the getting-started list."""
