"""Writes: settings, hours, departments, team, deletion."""
