"""What a node does not take from everybody who can reach it."""

from __future__ import annotations


class Unguarded(Exception):
    """Who may ask is not settled: the node listens beyond its machine, without a token."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"This node listens beyond its own machine without a token, so it takes no {what}. Set MLNODE_TOKEN, or "
            "MLNODE_ALLOW_OPEN=true when others are kept out."
        )


def require_guarded(guarded: bool, what: str) -> None:
    """Raises Unguarded, naming what is asked for."""
    if not guarded:
        raise Unguarded(what)
