"""What holds after every block."""

from pivot.chain.modules.participants.state import participant
from pivot.chain.modules.status.state import standings, suspensions
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus


def check_standings(state: Reader) -> None:
    """No test has more failures than measurements; whoever is suspended is INVALID, once. Raises AssertionError."""
    for record in standings(state):
        if not record.consecutive_failures <= record.failures <= record.measurements:
            raise AssertionError(f"the standing of {record.participant} contradicts itself: {record}")
    suspended = [host for _, host in suspensions(state)]
    if len(set(suspended)) != len(suspended):
        raise AssertionError("a host is suspended twice")
    for host in suspended:
        found = participant(state, host)
        if found is None or found.status != ParticipantStatus.INVALID:
            raise AssertionError(f"{host} is suspended, but not INVALID")
