"""Proofs that a validator has signed two blocks of one height, as the engine finds them."""
