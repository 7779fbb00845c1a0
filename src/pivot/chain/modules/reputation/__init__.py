"""How well a host has served in the last epochs (spec chain.md, 3.9)."""
