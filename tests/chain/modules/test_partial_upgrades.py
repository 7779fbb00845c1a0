"""Partial upgrades: what API and ML nodes run from a height on."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.gov.v1 import gov_pb2 as gov
from tendermint.abci.types_pb2 import RequestQuery

from pivot.chain.errors import NetworkCode
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.modules.partial_upgrades import genesis
from pivot.chain.modules.partial_upgrades.invariants import check_partial_upgrades
from pivot.chain.modules.partial_upgrades.messages import MAX_BINARIES_BYTES, MAX_VERSION_BYTES
from pivot.chain.modules.partial_upgrades.state import STORE, UPGRADES, partial_upgrades, put
from pivot.protocol.generated.inference.inference import query_pb2 as q
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgCreatePartialUpgrade
from pivot.protocol.generated.inference.inference.types_pb2 import PartialUpgrade
from tests.chain.chain import plain_block
from tests.chain.modules.governance import Parliament, address
from tests.chain.modules.test_gov_messages import refusal

SERVICE = "inference.inference.Query"


def upgrade(height: int, version: str = "v2", **fields: object) -> MsgCreatePartialUpgrade:
    return MsgCreatePartialUpgrade(**{"authority": AUTHORITY, "height": height, "nodeVersion": version, **fields})


def heights(chain: Parliament) -> list[int]:
    found = chain.query(f"{SERVICE}/PartialUpgradeAll", q.QueryAllPartialUpgradeRequest()).partialUpgrade
    return [each.height for each in found]


def test_a_partial_upgrade_is_told_before_its_height_and_the_last_one_stays() -> None:
    chain = Parliament()
    chain.pass_(upgrade(20), upgrade(22, "v3", apiBinariesJson='{"linux": "https://example.org"}'), upgrade(24))
    assert [event["height"] for event in chain.events("partial_upgrade_created")] == ["20", "22", "24"]
    assert heights(chain) == [20, 22, 24]
    one = chain.query(f"{SERVICE}/PartialUpgrade", q.QueryGetPartialUpgradeRequest(height=22)).partialUpgrade
    assert (one.node_version, one.api_binaries_json) == ("v3", '{"linux": "https://example.org"}')
    chain.advance(21)
    assert heights(chain) == [20, 22, 24]
    chain.advance(22)
    assert heights(chain) == [22, 24]
    chain.advance(40)
    assert heights(chain) == [24]
    missing = q.QueryGetPartialUpgradeRequest(height=20).SerializeToString()
    answer = chain.application.query(RequestQuery(path=f"/{SERVICE}/PartialUpgrade", data=missing))
    assert answer.code == NetworkCode.INFERENCE_NOT_FOUND


def test_a_height_that_has_passed_while_members_voted_is_refused() -> None:
    record = Parliament().pass_(upgrade(3))
    assert record.status == gov.PROPOSAL_STATUS_FAILED
    assert "height 3 has passed" in record.failed_reason


@pytest.mark.parametrize(
    "fields",
    [
        {"height": 0},
        {"height": 2**63},
        {"version": ""},
        {"version": "x" * (MAX_VERSION_BYTES + 1)},
        {"apiBinariesJson": "x" * (MAX_BINARIES_BYTES + 1)},
    ],
)
def test_a_partial_upgrade_that_says_nothing_or_too_much_is_refused(fields: dict[str, object]) -> None:
    assert refusal(upgrade(**{"height": 9, **fields})).code == NetworkCode.INVALID_FIELD


def test_only_governance_has_nodes_upgraded() -> None:
    assert refusal(upgrade(9, authority=address("alice"))).code == NetworkCode.NOT_GOVERNANCE


def test_an_export_is_loaded_as_the_same_rows() -> None:
    chain = Parliament()
    chain.pass_(upgrade(20), upgrade(22))
    genesis.load(block := plain_block(), genesis.export(chain.state))
    assert list(partial_upgrades(block.state)) == list(partial_upgrades(chain.state))
    assert genesis.export(plain_block().state) == {"partial_upgrade_list": []}


def test_a_partial_upgrade_of_another_height_or_of_nothing_is_noticed() -> None:
    state = plain_block().state
    put(state, PartialUpgrade(height=9, node_version="v2"))
    check_partial_upgrades(state)
    put(state, PartialUpgrade(height=10))
    with pytest.raises(AssertionError, match="the partial upgrade of height 10 upgrades nothing"):
        check_partial_upgrades(state)
    state.set(STORE, UPGRADES + bytes(8) + b"/", PartialUpgrade(height=7).SerializeToString())
    with pytest.raises(AssertionError, match="the partial upgrade of height 7 stands under"):
        check_partial_upgrades(state)
