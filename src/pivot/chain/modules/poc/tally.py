"""From commits and votes to weight."""

from pivot.chain.modules.members.formation import Work
from pivot.chain.types import Reader


def checkers(state: Reader, epoch: int, host: str) -> list[str]:
    """Addresses of those who check a host's commit in the sprint of `epoch`, sorted."""
    raise NotImplementedError


def earned(state: Reader, epoch: int) -> list[Work]:
    """What each host brings into `epoch`, by address: call it at the end of the validation window."""
    raise NotImplementedError
