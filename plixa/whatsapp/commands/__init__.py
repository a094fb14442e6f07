"""Writes: what members do to their numbers, and what the gateway tells."""

from plixa.whatsapp.commands.webhook import Accept, Delivered, Entangled

__all__ = ["Accept", "Delivered", "Entangled"]
