"""Permissions: one account lets another act for it, by type of message, for a time."""
