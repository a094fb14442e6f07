"""Routes: staff sign-in, workspaces, impersonation, the waitlist."""
