"""The routes of scheduling."""
