"""Revealing the hash chain through the epoch, and claiming what the epoch earned."""
