"""Consensus power: from members' weights to what the engine is told (design, section 4, Consensus power)."""
