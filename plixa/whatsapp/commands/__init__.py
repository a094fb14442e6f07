"""Writes: what members do to their numbers, and what the gateway tells."""

from plixa.whatsapp.commands.webhook import Accept, Delivered

__all__ = ["Accept", "Delivered"]
