"""Automation: whom new conversations go to by themselves."""
