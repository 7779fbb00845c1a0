"""The state machine. Deterministic: no clock, no randomness, no float, no network, no threads that change results."""
