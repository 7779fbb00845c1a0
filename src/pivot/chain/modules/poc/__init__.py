"""Proof of compute: commits of a sprint, votes of its checkers, and the weight that follows (design, section 6)."""
