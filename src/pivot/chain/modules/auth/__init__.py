"""Accounts: their numbers, sequences and public keys, and the unordered transactions that they have made."""
