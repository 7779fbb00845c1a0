"""Validators that do not sign, or sign twice: what it costs, and how they come back (docs/protocol/consensus-power.md)."""
