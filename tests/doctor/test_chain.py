import pytest

from pivot.api.ledger.interface import Head
from pivot.api.ledger.rpc import Status
from pivot.doctor import chain
from pivot.doctor.finding import State
from pivot.protocol.generated.inference.inference.types_pb2 import Participant

URL = "http://host.example:8000"


def status(*, synced: bool) -> Status:
    return Status("pivot-test", Head(7, 0, b""), synced=synced, consensus_key="key", node_id="id", moniker="m")


def test_a_node_that_catches_up_is_waited_for() -> None:
    assert chain.chain_node_is_synced(status(synced=True)).state is State.OK
    behind = chain.chain_node_is_synced(status(synced=False))
    assert (behind.state, "block 7" in behind.found) == (State.WARNING, True)
    assert chain.chain_node_does_not_answer("refused").state is State.WRONG


@pytest.mark.parametrize(
    ("running", "state"), [("0.38.26", State.OK), ("v0.38.26+abc", State.OK), ("0.37.0", State.WRONG)]
)
def test_another_engine_is_wrong(running: str, state: State) -> None:
    assert chain.engine_version_fits(running, "0.38.26").state is state


@pytest.mark.parametrize(
    ("known", "state", "told"),
    [
        (None, State.WRONG, "not registered"),
        (Participant(inference_url="http://old:1", validator_key="key"), State.WRONG, "http://old:1"),
        (Participant(validator_key="key"), State.WRONG, "no URL"),
        (Participant(inference_url=URL, validator_key="other"), State.WRONG, "another consensus key"),
        (Participant(inference_url=URL, validator_key="old", next_validator_key="key"), State.OK, URL),
        (Participant(inference_url=URL + "/", validator_key="key"), State.OK, URL),
    ],
)
def test_the_chain_must_have_the_host_as_it_is(known: Participant | None, state: State, told: str) -> None:
    finding = chain.host_is_registered("gonka1me", known, URL, "key")
    assert (finding.state, told in finding.found) == (state, True)


@pytest.mark.parametrize(
    ("validator", "signed", "state"),
    [(False, False, State.OK), (True, True, State.OK), (True, False, State.WRONG)],
)
def test_a_validator_must_sign(validator: bool, signed: bool, state: State) -> None:
    assert chain.host_signs_blocks(9, validator=validator, signed=signed).state is state


@pytest.mark.parametrize(
    ("balance", "has_api_keys", "state"), [(0, True, State.WRONG), (0, False, State.OK), (5, True, State.OK)]
)
def test_a_gateway_account_that_must_pay_needs_coins(balance: int, has_api_keys: bool, state: State) -> None:
    finding = chain.gateway_can_pay("gonka1gate", balance, has_api_keys=has_api_keys)
    assert (finding.state, finding.found.startswith(f"gonka1gate holds {balance} ngonka")) == (state, True)
