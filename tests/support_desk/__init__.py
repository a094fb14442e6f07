"""Tests of support: tickets on both sides, and the knowledge base."""
