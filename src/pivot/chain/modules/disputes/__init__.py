"""Votes on answers that a checker has found wrong, or could not get (design, decision 14)."""
