"""A chain's state as a genesis document, from which a chain goes on."""

from pivot.chain.modules.bank.state import supply
from pivot.node.export import exported
from pivot.node.genesis import block_pause, check_genesis
from pivot.protocol.parameters import timeout_commit
from tests.chain.chain import CHAIN_ID, Chain, key

ALICE = key("alice").address
COINS = 5_000


def test_an_export_is_taken_at_the_next_height() -> None:
    chain = Chain({ALICE: COINS})
    chain.block()
    document = exported(chain.state)
    assert (document["chain_id"], document["initial_height"]) == (CHAIN_ID, str(chain.height + 1))
    assert document["genesis_time"].startswith("2023-11-14T22:13:")
    check_genesis(document, CHAIN_ID, None, "export")
    assert block_pause(document) == timeout_commit("test")
    assert int(document["app_state"]["bank"]["supply"][0]["amount"]) == supply(chain.state)


def test_it_may_go_on_under_another_name() -> None:
    document = exported(Chain({ALICE: COINS}).state, "other-1")
    check_genesis(document, "other-1", None, "export")


def test_the_engines_parameters_go_along() -> None:
    block = Chain({ALICE: COINS})
    told = exported(block.state)["consensus_params"]
    assert told["block"] == {"max_bytes": str(4 * 2**20), "max_gas": "-1"}
    assert told["validator"] == {"pub_key_types": ["ed25519"]}
