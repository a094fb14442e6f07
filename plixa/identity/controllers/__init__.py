"""Routes: signing in, second factors, API tokens and one's own account."""
