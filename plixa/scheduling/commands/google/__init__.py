"""Google Calendars of members: connected and left, written to and read."""
