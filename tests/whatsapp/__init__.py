"""Tests of plixa.whatsapp."""
