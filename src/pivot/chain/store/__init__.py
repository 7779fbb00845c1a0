"""The chain's state: flat rows in LMDB, a journal above them, an authenticated tree over them, proofs against it."""
