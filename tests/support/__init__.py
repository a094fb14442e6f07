"""What many tests stand on: servers, databases, an application and a small world in it."""
