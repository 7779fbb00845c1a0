"""The application as the engine drives it."""

import json
from pathlib import Path

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.abci.v1beta1.abci_pb2 import TxMsgData
from cosmos.base.v1beta1.coin_pb2 import Coin
from tendermint.abci import types_pb2 as abci

from pivot.chain.application import Application
from pivot.chain.genesis import genesis_hash
from pivot.chain.modules.bank.state import balance
from pivot.chain.modules.params import state as params
from pivot.chain.store.database import Database
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import STORES
from pivot.primitives.keys import PrivateKey
from tests.chain.chain import CHAIN_ID, Chain, events_of, key

ALICE, BOB = key("alice"), key("bob")


def send(source: PrivateKey, target: PrivateKey, amount: int) -> MsgSend:
    return MsgSend(
        from_address=source.address, to_address=target.address, amount=[Coin(denom="ngonka", amount=str(amount))]
    )


@pytest.fixture
def chain() -> Chain:
    return Chain({ALICE.address: 1_000})


def test_a_send_moves_coins_and_makes_the_receivers_account(chain: Chain) -> None:
    result = chain.deliver(ALICE, send(ALICE, BOB, 300))
    assert result.code == 0, result.log
    assert (chain.balance(ALICE.address), chain.balance(BOB.address)) == (700, 300)
    assert chain.account(BOB.address).number == 1
    assert events_of(result, "message") == [
        {"action": "/cosmos.bank.v1beta1.MsgSend", "sender": ALICE.address, "module": "bank", "msg_index": "0"},
        {"sender": ALICE.address, "msg_index": "0"},
    ]


def test_several_transactions_of_one_account_pass_the_check_before_a_block(chain: Chain) -> None:
    raws = [chain.sign(ALICE, send(ALICE, BOB, 1), ahead=i) for i in range(3)]
    assert [chain.check(raw).code for raw in raws] == [0, 0, 0]
    assert chain.check(raws[1]).code == 32
    assert [result.code for result in chain.block(*raws)] == [0, 0, 0]


def test_a_check_changes_no_state_and_starts_anew_after_a_block(chain: Chain) -> None:
    raw = chain.sign(ALICE, send(ALICE, BOB, 1))
    assert chain.check(raw).code == 0
    assert chain.account(ALICE.address).sequence == 0
    chain.block()
    assert chain.check(raw).code == 0
    assert chain.balance(BOB.address) == 0


def test_a_check_tells_gas_and_refusals(chain: Chain) -> None:
    good = chain.check(chain.sign(ALICE, send(ALICE, BOB, 1), gas_limit=90_000))
    assert good.code == 0
    assert 0 < good.gas_wanted == good.gas_used < 90_000, "the engine fills blocks by what is taken, not by limits"
    bad = chain.check(b"nonsense")
    assert (bad.code, bad.codespace) == (2, "sdk")
    assert bad.log


def test_a_block_can_be_made_again(chain: Chain) -> None:
    chain.time += 10**9
    request = chain.block_request(chain.height + 1, chain.sign(ALICE, send(ALICE, BOB, 5)))
    first = chain.application.finalize_block(request)
    other = chain.application.finalize_block(chain.block_request(chain.height + 1))
    again = chain.application.finalize_block(request)
    assert first == again
    assert first.app_hash != other.app_hash
    assert chain.balance(BOB.address) == 0
    chain.application.commit(abci.RequestCommit())
    assert chain.balance(BOB.address) == 5
    assert chain.store.app_hash == first.app_hash


def test_info_names_the_last_committed_block(chain: Chain) -> None:
    info = chain.application.info(abci.RequestInfo())
    assert (info.last_block_height, info.last_block_app_hash) == (1, chain.store.app_hash)
    assert info.data == "pivot"
    empty = Application(MemoryDatabase(STORES)).info(abci.RequestInfo())
    assert (empty.last_block_height, empty.last_block_app_hash) == (0, b"")


def test_the_genesis_becomes_durable_with_the_first_block() -> None:
    chain = Chain({ALICE.address: 7})
    assert chain.first.app_hash
    store = MemoryDatabase(STORES)
    Application(store).init_chain(chain.genesis)
    assert store.height == 0
    restarted = Application(store)
    restarted.init_chain(chain.genesis)
    request = abci.RequestFinalizeBlock(height=1, time=chain.genesis.time)
    assert restarted.finalize_block(request) == restarted.finalize_block(request)
    restarted.commit(abci.RequestCommit())
    assert balance(store.view(), ALICE.address) == 7


def test_a_transaction_is_checked_before_the_first_block() -> None:
    chain = Chain({ALICE.address: 7})
    application = Application(MemoryDatabase(STORES))
    application.init_chain(chain.genesis)
    raw = chain.sign(ALICE, send(ALICE, BOB, 1))
    assert application.check_tx(abci.RequestCheckTx(tx=raw)).code == 0


def test_a_genesis_at_another_height_is_refused() -> None:
    request = abci.RequestInitChain()
    request.CopyFrom(Chain().genesis)
    request.initial_height = 5
    with pytest.raises(ValueError, match="begins at height 5"):
        Application(MemoryDatabase(STORES)).init_chain(request)


def test_chain_id_genesis_hash_and_time_outlive_a_restart(tmp_path: Path) -> None:
    with Database.open(tmp_path, STORES) as database:
        chain = Chain({ALICE.address: 7}, store=database)
        app_hash, time = database.app_hash, chain.time
        raw = chain.sign(ALICE, send(ALICE, BOB, 1))
    with Database.open(tmp_path, STORES) as database, database.view() as view:
        assert database.app_hash == app_hash
        assert params.chain_id(view) == CHAIN_ID
        assert params.genesis_hash(view) == genesis_hash(chain.genesis.app_state_bytes)
        assert params.block_time(view) == time
        assert Application(database).check_tx(abci.RequestCheckTx(tx=raw)).code == 0


def test_a_proposal_leaves_out_what_cannot_be_decoded(chain: Chain) -> None:
    good = chain.sign(ALICE, send(ALICE, BOB, 1))
    request = abci.RequestPrepareProposal(txs=[b"nonsense", good], max_tx_bytes=10_000)
    assert list(chain.application.prepare_proposal(request).txs) == [good]


def test_a_proposal_is_accepted_if_everything_in_it_can_be_decoded(chain: Chain) -> None:
    good = chain.sign(ALICE, send(ALICE, BOB, 1))
    accepted = chain.application.process_proposal(abci.RequestProcessProposal(txs=[good]))
    rejected = chain.application.process_proposal(abci.RequestProcessProposal(txs=[good, b"nonsense"]))
    assert accepted.status == abci.ResponseProcessProposal.ACCEPT
    assert rejected.status == abci.ResponseProcessProposal.REJECT


def test_a_proposal_that_takes_more_gas_than_a_block_may_is_refused(chain: Chain) -> None:
    chain.genesis.consensus_params.block.max_gas = 60_000
    application = Application(MemoryDatabase(STORES))
    application.init_chain(chain.genesis)
    sends = [chain.sign(ALICE, send(ALICE, BOB, 1), ahead=i) for i in range(3)]
    statuses = [application.process_proposal(abci.RequestProcessProposal(txs=sends[:count])).status for count in (2, 3)]
    assert statuses == [abci.ResponseProcessProposal.ACCEPT, abci.ResponseProcessProposal.REJECT]


def test_a_transaction_that_cannot_be_decoded_gets_a_result_of_its_own(chain: Chain) -> None:
    good = chain.sign(ALICE, send(ALICE, BOB, 1))
    bad, fine = chain.block(b"nonsense", good)
    assert (bad.code, bad.gas_used, fine.code) == (2, 0, 0)


def test_responses_come_as_clients_decode_them(chain: Chain) -> None:
    result = chain.deliver(ALICE, send(ALICE, BOB, 1), send(ALICE, BOB, 2))
    data = TxMsgData.FromString(result.data)
    assert [response.type_url for response in data.msg_responses] == ["/cosmos.bank.v1beta1.MsgSendResponse"] * 2
    assert [event["msg_index"] for event in events_of(result, "transfer")] == ["0", "1"]
    indexed = {each.key: each.index for event in result.events for each in event.attributes}
    assert indexed["recipient"]
    assert not indexed["msg_index"]


def test_a_failure_that_is_no_refusal_is_raised(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("pivot.chain.block.process_ante", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        chain.deliver(ALICE, send(ALICE, BOB, 1))


def test_a_vote_for_no_block_is_a_signature_too(chain: Chain) -> None:
    absent, commit, nil = (
        abci.VoteInfo(validator=abci.Validator(address=bytes([n] * 20)), block_id_flag=n) for n in (1, 2, 3)
    )
    request = abci.RequestFinalizeBlock(height=2, decided_last_commit=abci.CommitInfo(votes=[absent, commit, nil]))
    assert [vote.signed for vote in chain.application._begin(request).last_commit] == [False, True, True]


def test_a_section_of_the_genesis_that_no_module_takes_is_refused() -> None:
    request = abci.RequestInitChain()
    request.CopyFrom(Chain().genesis)
    document = json.loads(request.app_state_bytes)
    request.app_state_bytes = json.dumps(document | {"stakng": {}}).encode()
    with pytest.raises(ValueError, match="stakng"):
        Application(MemoryDatabase(STORES)).init_chain(request)
