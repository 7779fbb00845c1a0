"""Nouns that every part of Pivot shares. Pure: no I/O, no clock, no randomness."""
