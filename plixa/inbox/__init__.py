"""The shared inbox: conversations with customers, their messages, and how both change. Owns the streams ``conversation/<id>``."""
