"""Routes: tickets of one's own workspace, those of all workspaces for staff, articles."""
