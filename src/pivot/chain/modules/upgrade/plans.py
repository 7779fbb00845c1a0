"""The upgrades that this version of the program knows."""

from collections.abc import Callable

from pivot.chain.types import Block

UPGRADES: dict[str, Callable[[Block], None]] = {}
"""Name of a plan to the function that changes the rows in the plan's block, before anything else. A name that has been applied
on a network stays for good: by it a version shows that it is not older than the state."""


class UpgradeHalt(Exception):
    """Another version must make the next block; the sentence says which one. It is no failure."""


class UpgradeNeeded(UpgradeHalt):
    """The chain has come to the height of a plan that this version does not know."""

    def __init__(self, name: str, height: int, info: str) -> None:
        super().__init__(f'UPGRADE "{name}" NEEDED at height {height}: {info}')
        self.name = name
        self.height = height
        self.info = info


class TooEarly(UpgradeHalt):
    """The program already knows a plan whose height has not come: it would make other blocks than the network."""

    def __init__(self, name: str, height: int) -> None:
        super().__init__(
            f'UPGRADE "{name}" is due at height {height}: run the version before it until then, this one has its changes'
        )


class TooOld(UpgradeHalt):
    """The state was changed by an upgrade that this version does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'UPGRADE "{name}" has been applied to this state: run the version that brought it, or a later one'
        )
