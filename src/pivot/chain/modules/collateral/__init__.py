"""Coins that stand behind a host's weight, and what it loses of them (docs/protocol/collateral.md)."""
