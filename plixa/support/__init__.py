"""Support of Plixa's own customers: tickets, which both sides edit, and the knowledge base. Owns the streams ``ticket/<id>``."""
