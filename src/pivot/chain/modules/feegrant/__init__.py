"""Fees that somebody else pays: allowances, and what is left of them."""
