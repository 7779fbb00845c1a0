"""Coins: who holds how many, and how they move. The supply is fixed at the genesis."""
