"""Partial upgrades: at a height, API and ML nodes go over to another version, and the chain's rules stay."""
