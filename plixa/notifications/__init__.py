"""Telling people outside the inbox: e-mail through Resend, SMTP or the local mailbox, and notifications in their browsers."""
