"""E-mail: its words, its three ways out, and what becomes of a mail that does not get through."""
