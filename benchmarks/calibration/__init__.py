"""Thresholds of checks of answers: honest pairs of machines, and machines that cheat, on one model (docs/protocol/checking.md)."""
