"""Proofs of the members of every epoch, kept for good: the chain forgets an epoch's members, its proof does not grow old."""
