"""Governance: proposals, deposits on them, and votes that weigh as much as their members' compute power."""
