"""What holds after every block."""

from pivot.chain.modules.bank.state import ESCROW, balance
from pivot.chain.modules.inferences.sharing import shares
from pivot.chain.modules.inferences.state import all_inferences
from pivot.chain.modules.rewards.state import owed
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceStatus


def check_escrow(state: Reader) -> None:
    """The module's account holds the escrow of open inferences and what hosts are owed, to the last coin.

    Raises AssertionError.
    """
    set_aside = sum(record.escrow_amount for record in all_inferences(state) if is_open(record.status))
    owed_to_hosts = owed(state)
    held = balance(state, ESCROW)
    if held != set_aside + owed_to_hosts:
        raise AssertionError(
            f"{ESCROW} holds {held}, but {set_aside} is set aside and {owed_to_hosts} is owed to hosts"
        )


def check_records(state: Reader) -> None:
    """Every closed inference has given out its escrow once: what it cost and what went back add up. Raises AssertionError."""
    for record in all_inferences(state):
        spent = record.actual_cost + record.escrow_returned
        if spent != (0 if is_open(record.status) else record.escrow_amount):
            raise AssertionError(f"inference {record.inference_id} has given out {spent} of {record.escrow_amount}")
        if not 0 <= record.gateway_paid <= record.escrow_amount:
            raise AssertionError(f"inference {record.inference_id} had {record.gateway_paid} paid by its gateway")


def check_shares(state: Reader) -> None:
    """Checkers hold no more of an answer's pay than it cost, and nobody has two parts. Raises AssertionError."""
    for record in all_inferences(state):
        held = shares(state, record)
        if sum(held) > record.actual_cost:
            raise AssertionError(
                f"checkers hold {held} of inference {record.inference_id}, which cost {record.actual_cost}"
            )
        if len(set(record.validated_by)) != len(record.validated_by) or record.executed_by in record.validated_by:
            raise AssertionError(f"somebody holds two parts of inference {record.inference_id}")


def is_open(status: InferenceStatus) -> bool:
    """Whether the inference still holds an escrow."""
    return bool(status == InferenceStatus.STARTED)
