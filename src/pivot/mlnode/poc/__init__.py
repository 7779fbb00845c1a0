"""Proof of compute on one machine: generator, model, fingerprint, worker, sender, verification."""
