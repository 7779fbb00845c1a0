"""Hosts and consumers: who they are, which consensus keys and which hardware they have (design, decisions 1 and 2)."""
