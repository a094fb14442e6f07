"""Appointments: what can be booked, with whom and when; the calendar, reminders and the waitlist. Owns the streams ``appointment/<id>``."""
