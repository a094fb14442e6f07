"""What a workspace may use, how much of it, and on what ground."""
