"""The network's randomness, from hash chains that hosts commit to and reveal (design, decisions 5 and 13)."""
