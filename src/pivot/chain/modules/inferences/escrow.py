"""The coins of an inference between its start and its end, held by the module's account.

The developer pays as far as its balance goes, the transfer agent's gateway account pays the rest: the agent has chosen to
pass the request on (design, decision 10). Whatever is not used goes back the other way round, at once.
"""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.bank.state import ESCROW, move, spendable
from pivot.chain.modules.participants.state import require_participant
from pivot.chain.modules.rewards.totals import note_spent
from pivot.chain.store.journal import State
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol import pricing
from pivot.protocol.generated.inference.inference.types_pb2 import Inference


def hold(state: State, record: Inference) -> None:
    """Set the escrow aside, and write into the record who paid it. Raises NetworkError (REQUESTER_CANNOT_PAY)."""
    developer_pays = min(spendable(state, record.requested_by), record.escrow_amount)
    move(state, record.requested_by, ESCROW, developer_pays)
    record.gateway_paid = record.escrow_amount - developer_pays
    if not record.gateway_paid:
        return
    record.gateway_address = require_participant(state, record.transferred_by).gateway_address
    held = spendable(state, record.gateway_address) if record.gateway_address else 0
    if held < record.gateway_paid:
        payer = record.gateway_address or f"{record.transferred_by}, who has named no gateway account,"
        raise NetworkError(
            NetworkCode.REQUESTER_CANNOT_PAY,
            f"the request needs {record.escrow_amount}{BASE_DENOM}; {record.requested_by} has {developer_pays}{BASE_DENOM}"
            f" and {payer} has {held}{BASE_DENOM}",
        )
    move(state, record.gateway_address, ESCROW, record.gateway_paid)


def release(state: State, record: Inference, cost: int) -> None:
    """Charge `cost` ngonka of the escrow, and give the rest back to whom it came from."""
    developer_gets, gateway_gets = pricing.refunds(record.escrow_amount, record.gateway_paid, cost)
    move(state, ESCROW, record.requested_by, developer_gets)
    if gateway_gets:
        move(state, ESCROW, record.gateway_address, gateway_gets)
    record.actual_cost = cost
    record.escrow_returned = developer_gets + gateway_gets
    note_spent(state, cost, record.escrow_returned)
