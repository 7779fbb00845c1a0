"""Checks of answers: who must make them, who has, and what they change (design, decision 13)."""
