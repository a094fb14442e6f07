"""Plixa: WhatsApp customer service whose every state can be replayed, proven and explained."""
