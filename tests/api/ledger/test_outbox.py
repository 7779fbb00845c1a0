"""What a host has to say reaches the chain exactly once, whatever happens on the way."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable

import pytest
from cosmos.tx.v1beta1.tx_pb2 import TxBody

from pivot.api.database import Database
from pivot.api.ledger import outbox as outbox_module
from pivot.api.ledger.interface import EXPIRED, ChainUnavailable, LedgerError, Outcome
from pivot.api.ledger.outbox import LIFETIME_NS, MAX_ALONE, MAX_ATTEMPTS, MAX_UNDER_WAY, OVERDUE_BLOCKS, DurableOutbox
from pivot.api.ledger.rpc import MEMPOOL_CODESPACE, MEMPOOL_FULL, MEMPOOL_TOO_LARGE, Inclusion, Verdict
from pivot.api.phases import Listener, Moment
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgClaimRewards,
    MsgFinishInference,
    MsgStartInference,
)
from tests.api.ledger.network import BLOCK_NS, FakeNetwork, batches, fee_of, timeout_of

KEY = PrivateKey(b"\x01" * 32)


class FakePhases:
    moment: Moment | None = None

    def __init__(self) -> None:
        self.listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self.listeners.append(listener)

    async def tell(self, moment: Moment) -> None:
        self.moment = moment
        for listener in self.listeners:
            await listener(moment)

    async def wait_for(self, condition: Callable[[Moment], bool], timeout_s: float) -> Moment | None:
        raise NotImplementedError


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork(KEY)


@pytest.fixture
def phases() -> FakePhases:
    return FakePhases()


@pytest.fixture
def database(each_database: Database) -> Database:
    return each_database


@pytest.fixture
async def outbox(database: Database, network: FakeNetwork, phases: FakePhases) -> AsyncIterator[DurableOutbox]:
    outbox = await begin(database, network, phases)
    yield outbox
    await outbox.close()


async def begin(database: Database, network: FakeNetwork, phases: FakePhases | None = None) -> DurableOutbox:
    outbox = DurableOutbox(database, KEY, network, network, phases or FakePhases())
    await outbox.start()
    return outbox


def start(inference_id: str = "i") -> MsgStartInference:
    return MsgStartInference(creator=KEY.address, inference_id=inference_id)


def finish(inference_id: str = "i", hash_of: str = "") -> MsgFinishInference:
    return MsgFinishInference(creator=KEY.address, inference_id=inference_id, response_hash=hash_of)


def claim(epoch: int = 1) -> MsgClaimRewards:
    return MsgClaimRewards(creator=KEY.address, epoch_index=epoch)


async def blocks(outbox: DurableOutbox, network: FakeNetwork, count: int = 1) -> None:
    for _ in range(count):
        await outbox.turn(network.make_block())


async def test_a_claim_is_sent_and_known_to_be_done(outbox: DurableOutbox, network: FakeNetwork) -> None:
    await outbox.put("claim:1", claim())
    assert await outbox.outcome("claim:1") == Outcome("claim:1", done=False)
    await blocks(outbox, network, 2)
    outcome = await outbox.outcome("claim:1")
    assert outcome == Outcome("claim:1", done=True, height=3)
    assert outcome.accepted


async def test_an_unknown_key_has_no_outcome(outbox: DurableOutbox) -> None:
    assert await outbox.outcome("nothing") is None
    assert await outbox.wait("nothing", 1) is None


async def test_a5_all_that_waits_travels_in_one_batch(outbox: DurableOutbox, network: FakeNetwork) -> None:
    puts = [outbox.put(f"start:{number}", start(str(number))) for number in range(30)]
    puts += [outbox.put(f"finish:{number}", finish(str(number))) for number in range(30)]
    await asyncio.gather(*puts)
    await blocks(outbox, network, 2)
    (batch,) = batches(network.bodies())
    assert (batch.creator, len(batch.starts), len(batch.finishes)) == (KEY.address, 30, 30)
    outcomes = [await outbox.outcome(f"finish:{number}") for number in range(30)]
    assert all(outcome is not None and outcome.accepted for outcome in outcomes)


async def test_a5_a_known_key_changes_nothing(outbox: DurableOutbox, network: FakeNetwork) -> None:
    await asyncio.gather(*(outbox.put("finish:i", finish("i", str(attempt))) for attempt in range(3)))
    await blocks(outbox, network, 2)
    await outbox.put("finish:i", finish("i", "later"))
    await blocks(outbox, network, 2)
    assert network.items == ["finish:i"]
    (batch,) = batches(network.bodies())
    assert batch.finishes[0].response_hash == "0"


async def test_a5_one_refused_item_spoils_no_other(outbox: DurableOutbox, network: FakeNetwork) -> None:
    network.item = lambda item: (1106, "cannot pay") if item.inference_id == "poor" else (0, "")
    for name in ("a", "poor", "b"):
        await outbox.put(f"start:{name}", start(name))
        await outbox.put(f"finish:{name}", finish(name))
    await blocks(outbox, network, 2)
    for kind in ("start", "finish"):
        assert await outbox.outcome(f"{kind}:poor") == Outcome(f"{kind}:poor", True, 1106, "cannot pay", 3)
        for name in ("a", "b"):
            outcome = await outbox.outcome(f"{kind}:{name}")
            assert outcome is not None
            assert outcome.accepted


@pytest.mark.parametrize("code", [1101, 1203])
async def test_a5_what_the_chain_has_already_counts_as_done(
    outbox: DurableOutbox, network: FakeNetwork, code: int
) -> None:
    network.item = lambda _: (code, "already")
    await outbox.put("finish:i", finish())
    await blocks(outbox, network, 2)
    outcome = await outbox.outcome("finish:i")
    assert outcome is not None
    assert outcome.accepted


async def test_a5_a_duty_that_is_done_already_counts_as_done(outbox: DurableOutbox, network: FakeNetwork) -> None:
    network.deliver = lambda _: Verdict(1203, "inference", "claimed already")
    await outbox.put("claim:1", claim())
    await blocks(outbox, network, 2)
    outcome = await outbox.outcome("claim:1")
    assert outcome is not None
    assert (outcome.accepted, outcome.height) == (True, 3)


async def test_a5_a_message_that_check_tx_refuses_is_not_taken_as_sent(
    outbox: DurableOutbox, network: FakeNetwork
) -> None:
    network.check = lambda _: Verdict(1107, "inference", "wrong epoch")
    await outbox.put("claim:1", claim())
    await blocks(outbox, network, 3)
    assert await outbox.outcome("claim:1") == Outcome("claim:1", True, 1107, "wrong epoch")
    assert len(network.broadcasts) == 1


async def test_a5_a_refusal_that_passes_is_tried_again_ever_more_rarely(
    outbox: DurableOutbox, network: FakeNetwork
) -> None:
    network.check = lambda _: Verdict(MEMPOOL_FULL, MEMPOOL_CODESPACE, "mempool is full")
    await outbox.put("claim:1", claim())
    heights = []
    for _ in range(16):
        before = len(network.broadcasts)
        await blocks(outbox, network)
        if len(network.broadcasts) > before:
            heights.append(network.height)
    assert heights == [2, 4, 8, 16]
    network.check = lambda _: Verdict(0)
    await blocks(outbox, network, 20)
    outcome = await outbox.outcome("claim:1")
    assert outcome is not None
    assert outcome.accepted


async def test_a_message_that_comes_before_its_window_is_sent_again_in_it(
    outbox: DurableOutbox, network: FakeNetwork
) -> None:
    network.deliver = lambda _: Verdict(0) if network.height > 3 else Verdict(1108, "inference", "outside the window")
    await outbox.put("claim:1", claim(), deadline_height=20)
    await blocks(outbox, network, 6)
    outcome = await outbox.outcome("claim:1")
    assert outcome is not None
    assert outcome.accepted


async def test_a5_attempts_are_capped(
    outbox: DurableOutbox, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "LONGEST_PAUSE_BLOCKS", 1)
    network.check = lambda _: Verdict(5, "sdk", "no coins")
    await outbox.put("claim:1", claim())
    await blocks(outbox, network, MAX_ATTEMPTS + 5)
    assert await outbox.outcome("claim:1") == Outcome("claim:1", True, 5, "no coins")
    assert len(network.broadcasts) == MAX_ATTEMPTS


async def test_a5_a_batch_refused_as_a_whole_is_halved_until_the_bad_item_is_alone(
    outbox: DurableOutbox, network: FakeNetwork
) -> None:
    def check(body: TxBody) -> Verdict:
        (batch,) = batches([body])
        return Verdict(18, "sdk", "malformed") if any(item.inference_id == "5" for item in batch.starts) else Verdict(0)

    network.check = check
    await asyncio.gather(*(outbox.put(f"start:{number}", start(str(number))) for number in range(11)))
    await blocks(outbox, network, 8)
    outcomes = [await outbox.outcome(f"start:{number}") for number in range(11)]
    assert [outcome.accepted for outcome in outcomes if outcome] == [number != 5 for number in range(11)]
    assert sorted(network.items) == sorted(f"start:{number}" for number in range(11) if number != 5)


async def test_a_batch_that_is_too_large_for_the_mempool_is_halved(outbox: DurableOutbox, network: FakeNetwork) -> None:
    too_large = Verdict(MEMPOOL_TOO_LARGE, MEMPOOL_CODESPACE, "too large")
    network.check = lambda body: too_large if len(batches([body])[0].starts) > 3 else Verdict(0)
    await asyncio.gather(*(outbox.put(f"start:{number}", start(str(number))) for number in range(10)))
    await blocks(outbox, network, 5)
    assert len(network.items) == 10


async def test_a_batch_holds_a_thousand_items(outbox: DurableOutbox, network: FakeNetwork) -> None:
    await asyncio.gather(*(outbox.put(f"start:{number}", start(str(number))) for number in range(2_300)))
    await blocks(outbox, network, 2)
    assert [len(batch.starts) for batch in batches(network.bodies())] == [1000, 1000, 300]
    assert [item.inference_id for item in batches(network.bodies())[0].starts] == [str(n) for n in range(1000)]


async def test_a_batch_holds_512_kib(outbox: DurableOutbox, network: FakeNetwork) -> None:
    big = "x" * 100 * 1024
    await asyncio.gather(*(outbox.put(f"finish:{number}", finish(str(number), big)) for number in range(12)))
    await blocks(outbox, network, 2)
    found = batches(network.bodies())
    assert [len(batch.finishes) for batch in found] == [5, 5, 2]
    assert all(batch.ByteSize() <= 512 * 1024 for batch in found)


async def test_transactions_under_way_are_bounded_and_neither_kind_holds_up_the_other(
    outbox: DurableOutbox, network: FakeNetwork
) -> None:
    network.losing = True
    await asyncio.gather(*(outbox.put(f"claim:{number}", claim(number)) for number in range(100)))
    await asyncio.gather(*(outbox.put(f"start:{n}", start(str(n) + "x" * 300_000)) for n in range(20)))
    await blocks(outbox, network)
    assert len(network.broadcasts) == MAX_UNDER_WAY
    assert len(batches(network.bodies())) == MAX_UNDER_WAY - MAX_ALONE


async def test_a5_time_outs_follow_block_time_and_never_repeat(outbox: DurableOutbox, network: FakeNetwork) -> None:
    for number in range(5):
        await outbox.put(f"claim:{number}", claim(number))
    await outbox.turn(network.moment)
    found = [timeout_of(body) for body in network.bodies()]
    assert found == [network.time_ns + LIFETIME_NS + number for number in range(5)]


async def test_a5_a_transaction_that_came_into_no_block_is_sent_anew_after_its_time_out(
    outbox: DurableOutbox, network: FakeNetwork
) -> None:
    network.losing = True
    await outbox.put("claim:1", claim())
    await blocks(outbox, network)
    network.losing = False
    until_timeout = LIFETIME_NS // BLOCK_NS
    await blocks(outbox, network, until_timeout + OVERDUE_BLOCKS)
    assert len(network.broadcasts) == 1
    await blocks(outbox, network, 2)
    outcome = await outbox.outcome("claim:1")
    assert outcome is not None
    assert outcome.accepted
    first, second = (timeout_of(body) for body in network.bodies())
    assert second > first + LIFETIME_NS


async def test_a5_a_mempool_that_lost_a_transaction_gets_the_same_one_again(
    outbox: DurableOutbox, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "REPEAT_BLOCKS", 3)
    network.losing = True
    await outbox.put("claim:1", claim())
    await blocks(outbox, network)
    network.losing = False
    await blocks(outbox, network, 4)
    assert network.broadcasts == [network.broadcasts[0]] * 2
    outcome = await outbox.outcome("claim:1")
    assert outcome is not None
    assert outcome.accepted


async def test_a5_a_repeated_transaction_that_the_chain_has_seen_goes_on_being_watched(
    outbox: DurableOutbox, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "REPEAT_BLOCKS", 2)
    await outbox.put("claim:1", claim())
    await blocks(outbox, network)
    held = network.mempool.copy()
    network.mempool.clear()
    await blocks(outbox, network, 3)
    assert len(network.broadcasts) == 2
    network.mempool += held
    await blocks(outbox, network)
    outcome = await outbox.outcome("claim:1")
    assert outcome is not None
    assert outcome.accepted


async def test_a5_an_outage_of_the_chain_loses_and_doubles_nothing(outbox: DurableOutbox, network: FakeNetwork) -> None:
    await outbox.put("start:a", start("a"))
    await blocks(outbox, network)
    network.away = True
    await outbox.put("start:b", start("b"))
    for _ in range(3):
        with pytest.raises(ChainUnavailable):
            await blocks(outbox, network)
    network.away = False
    await blocks(outbox, network, 2)
    assert sorted(network.items) == ["start:a", "start:b"]
    for name in ("a", "b"):
        outcome = await outbox.outcome(f"start:{name}")
        assert outcome is not None
        assert outcome.accepted


async def test_a5_an_answer_lost_on_the_way_is_asked_for_with_the_same_transaction(
    outbox: DurableOutbox, network: FakeNetwork
) -> None:
    def arrives_but_nobody_answers(_: TxBody) -> Verdict:
        network.mempool.append(network.broadcasts[-1])
        raise ChainUnavailable("the connection broke")

    network.check = arrives_but_nobody_answers
    await outbox.put("claim:1", claim())
    with pytest.raises(ChainUnavailable):
        await outbox.turn(network.moment)
    network.check = lambda _: Verdict(0)
    await outbox.turn(network.moment)
    await blocks(outbox, network)
    assert len(set(network.broadcasts)) == 1
    outcome = await outbox.outcome("claim:1")
    assert outcome is not None
    assert outcome.accepted


async def test_nothing_is_sent_before_the_account_exists(outbox: DurableOutbox, network: FakeNetwork) -> None:
    network.account_exists = False
    await outbox.put("claim:1", claim())
    with pytest.raises(LedgerError, match="does not exist on the chain yet"):
        await blocks(outbox, network)
    assert network.broadcasts == []
    network.account_exists = True
    await blocks(outbox, network, 2)
    await outbox.put("claim:2", claim(2))
    await blocks(outbox, network, 2)
    outcome = await outbox.outcome("claim:2")
    assert outcome is not None
    assert outcome.accepted
    assert network.account_questions == 2


async def test_a5_an_entry_expires_after_its_deadline(outbox: DurableOutbox, network: FakeNetwork) -> None:
    network.account_exists = False
    await outbox.put("claim:1", claim(), deadline_height=3)
    await outbox.put("claim:2", claim(2))
    for _ in range(2):
        with pytest.raises(LedgerError):
            await blocks(outbox, network)
    assert await outbox.outcome("claim:1") == Outcome("claim:1", done=False)
    with pytest.raises(LedgerError):
        await blocks(outbox, network)
    assert await outbox.outcome("claim:1") == Outcome(
        "claim:1", True, EXPIRED, "height 3 passed before the chain had it"
    )
    assert await outbox.outcome("claim:2") == Outcome("claim:2", done=False)


async def test_a_fee_is_offered_once_the_chain_asks_for_one(outbox: DurableOutbox, network: FakeNetwork) -> None:
    network.gas_price_e18 = 10**15
    network.check = lambda _: (
        Verdict(0) if fee_of(network.broadcasts[-1]) >= 100 else Verdict(13, "sdk", "insufficient fees")
    )
    await outbox.put("claim:1", claim())
    await blocks(outbox, network, 5)
    assert fee_of(network.broadcasts[0]) == 0
    outcome = await outbox.outcome("claim:1")
    assert outcome is not None
    assert outcome.accepted


async def test_waiting_ends_with_the_block_that_has_the_entry(outbox: DurableOutbox, network: FakeNetwork) -> None:
    await outbox.put("start:i", start())
    waiting = [asyncio.create_task(outbox.wait("start:i", 10)) for _ in range(2)]
    await blocks(outbox, network, 2)
    assert await asyncio.gather(*waiting) == [Outcome("start:i", done=True, height=3)] * 2
    assert await outbox.wait("start:i", 10) == Outcome("start:i", done=True, height=3)


async def test_waiting_ends_with_the_time(outbox: DurableOutbox) -> None:
    await outbox.put("start:i", start())
    assert await outbox.wait("start:i", 0.01) == Outcome("start:i", done=False)


async def test_a_batch_answer_that_cannot_be_read_settles_its_items(
    outbox: DurableOutbox, network: FakeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        await outbox.put(f"start:{name}", start(name))
        await outbox._send_waiting(network.moment)
    first, second = (name for name in outbox._flights)
    network.included[first] = Inclusion(5, Verdict(0), b"")
    network.included[second] = Inclusion(5, Verdict(0), b"\xff")
    await outbox.turn(network.moment)
    assert await outbox.outcome("start:a") == Outcome("start:a", done=True, height=5)
    assert "cannot be read" in caplog.text


async def test_an_answer_with_other_items_is_noticed(
    outbox: DurableOutbox, network: FakeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    await outbox.put("start:a", start("a"))
    await blocks(outbox, network)
    await outbox.put("start:b", start("b"))
    await outbox.put("start:c", start("c"))
    await blocks(outbox, network)
    (flight,) = outbox._flights.values()
    network.make_block()
    network.included[flight.hash] = next(iter(network.included.values()))
    await outbox.turn(network.moment)
    assert "answered 1 of 2 items" in caplog.text


# Restarts.


async def test_a5_after_a_restart_what_waits_is_sent(database: Database, network: FakeNetwork) -> None:
    first = await begin(database, network)
    await first.put("start:i", start())
    await first.close()
    second = await begin(database, network)
    await blocks(second, network, 2)
    assert network.items == ["start:i"]
    await second.put("start:later", start("later"))
    await blocks(second, network, 2)
    assert network.items == ["start:i", "start:later"]
    await second.close()


async def test_a5_after_a_restart_what_was_under_way_is_watched_and_not_doubled(
    database: Database, network: FakeNetwork
) -> None:
    network.item = lambda item: (1106, "cannot pay") if item.inference_id == "poor" else (0, "")
    first = await begin(database, network)
    for name in ("a", "poor"):
        await first.put(f"finish:{name}", finish(name))
        await first.put(f"start:{name}", start(name))
    await first.turn(network.moment)
    await first.close()
    second = await begin(database, network)
    await blocks(second, network, 2)
    assert len(network.broadcasts) == 1
    accepted = {}
    for key in ("start:a", "finish:a", "start:poor", "finish:poor"):
        outcome = await second.outcome(key)
        assert outcome is not None
        accepted[key] = outcome.accepted
    assert accepted == {"start:a": True, "finish:a": True, "start:poor": False, "finish:poor": False}
    await second.close()


async def test_a5_after_a_restart_a_lost_transaction_is_handed_over_again(
    database: Database, network: FakeNetwork
) -> None:
    network.losing = True
    first = await begin(database, network)
    await first.put("start:i", start())
    await first.turn(network.moment)
    await first.close()
    network.losing = False
    second = await begin(database, network)
    await blocks(second, network, 2)
    assert network.items == ["start:i"]
    assert network.broadcasts == [network.broadcasts[0]] * 2
    await second.close()


async def test_a5_a_node_that_dies_between_noting_and_sending_sends_at_its_next_block(
    database: Database, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await begin(database, network)
    for name in ("a", "b"):
        await first.put(f"finish:{name}", finish(name))
        await first.put(f"start:{name}", start(name))
    await first.put("claim:1", claim())
    monkeypatch.setattr(network, "broadcast", lambda _: asyncio.Event().wait())  # it never comes back from there
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(first._send_batches(network.moment), 0.2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(first._send_alone(network.moment), 0.2)
    monkeypatch.undo()
    second = await begin(database, network)
    await blocks(second, network, 2)
    assert network.items == ["start:a", "start:b", "finish:a", "finish:b"]
    outcome = await second.outcome("claim:1")
    assert outcome == Outcome("claim:1", done=True, height=3)
    await second.close()


async def test_a5_after_a_restart_a_lost_transaction_whose_words_are_others_now_is_sent_anew_after_its_time_out(
    database: Database, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.losing = True
    first = await begin(database, network)
    await first.put("claim:1", claim())
    await first.turn(network.moment)
    await first.close()
    network.losing = False
    second = await begin(database, network)
    monkeypatch.setattr(outbox_module, "fee_for", lambda _entries, _price: 7)
    await blocks(second, network, LIFETIME_NS // BLOCK_NS + OVERDUE_BLOCKS)
    assert len(network.broadcasts) == 1
    await blocks(second, network, 2)
    outcome = await second.outcome("claim:1")
    assert outcome is not None
    assert outcome.accepted
    earlier, later = (timeout_of(body) for body in network.bodies())
    assert later > earlier + LIFETIME_NS
    await second.close()


# The task that follows the blocks.


async def follow(outbox: DurableOutbox, network: FakeNetwork, phases: FakePhases, done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():
            await phases.tell(network.make_block())
            await asyncio.sleep(0.01)


async def test_every_block_lets_the_outbox_work(
    outbox: DurableOutbox, network: FakeNetwork, phases: FakePhases
) -> None:
    await outbox.put("start:i", start())
    waiting = asyncio.create_task(outbox.wait("start:i", 10))
    await follow(outbox, network, phases, waiting.done)
    assert (await waiting) == await outbox.outcome("start:i")


async def test_what_travels_alone_does_not_wait_for_the_next_block(
    outbox: DurableOutbox, network: FakeNetwork, phases: FakePhases
) -> None:
    await phases.tell(network.make_block())
    await asyncio.sleep(0.05)
    await outbox.put("start:i", start())
    await outbox.put("claim:1", claim())
    async with asyncio.timeout(10):
        while not network.broadcasts:
            await asyncio.sleep(0.01)
    assert not batches(network.bodies())  # one batch a block


async def test_nothing_is_sent_while_the_node_catches_up(
    outbox: DurableOutbox, network: FakeNetwork, phases: FakePhases
) -> None:
    await outbox.put("claim:1", claim())
    await phases.tell(dataclasses.replace(network.make_block(), synced=False))
    await asyncio.sleep(0.05)
    assert network.broadcasts == []


async def test_neither_an_outage_nor_a_bug_ends_the_outbox(
    outbox: DurableOutbox, network: FakeNetwork, phases: FakePhases, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(_: TxBody) -> Verdict:
        raise RuntimeError("a bug")

    await outbox.put("start:i", start())
    network.away = True
    await follow(outbox, network, phases, lambda: "nobody answers" in caplog.text)
    network.away, network.check = False, bug
    await follow(outbox, network, phases, lambda: "a bug" in caplog.text)
    network.check = lambda _: Verdict(0)
    waiting = asyncio.create_task(outbox.wait("start:i", 10))
    await follow(outbox, network, phases, waiting.done)
    outcome = await waiting
    assert outcome is not None
    assert outcome.accepted


async def test_what_was_settled_long_ago_is_forgotten(
    outbox: DurableOutbox, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "PRUNE_BLOCKS", 1)
    await outbox.put("start:i", start())
    await outbox.put("claim:1", claim())
    await blocks(outbox, network, 2)
    network.time_ns += outbox_module.ITEMS_KEPT_NS
    await blocks(outbox, network, 2)
    assert await outbox.outcome("start:i") is None
    assert await outbox.outcome("claim:1") is not None
    network.time_ns += outbox_module.OTHERS_KEPT_NS
    await blocks(outbox, network, 2)
    assert await outbox.outcome("claim:1") is None


async def test_a_key_has_a_length(outbox: DurableOutbox) -> None:
    for key in ("", "x" * 201):
        with pytest.raises(ValueError, match="1 to 200"):
            await outbox.put(key, start())


async def test_any_sentence_of_the_chain_can_be_kept(outbox: DurableOutbox, network: FakeNetwork) -> None:
    network.item = lambda _: (5, "bad\0 " * 1000)
    await outbox.put("start:i", start())
    await outbox.turn(network.moment)
    await outbox.turn(network.make_block())
    outcome = await outbox.outcome("start:i")
    assert outcome is not None
    assert outcome.code == 5
    assert outcome.log.startswith("bad bad ")


async def test_a_node_that_ends_hands_over_what_waits(
    database: Database, network: FakeNetwork, phases: FakePhases
) -> None:
    outbox = await begin(database, network, phases)
    phases.moment = network.make_block()
    await outbox.put("claim:1", MsgClaimRewards(creator=KEY.address, epoch_index=1))
    assert not network.mempool
    await outbox.close()
    assert len(network.mempool) == 1


async def test_what_waits_is_counted_and_grows_old(outbox: DurableOutbox, network: FakeNetwork) -> None:
    assert await outbox.unsettled() == (0, 0.0)
    await outbox.put("claim:1", MsgClaimRewards(creator=KEY.address, epoch_index=1))
    entries, age_s = await outbox.unsettled()
    assert entries == 1
    await asyncio.sleep(0.02)
    assert (await outbox.unsettled())[1] >= age_s + 0.02
    assert await outbox.tally("claim:") == (1, 0)
    await outbox.turn(network.moment)
    await outbox.turn(network.make_block())
    assert await outbox.unsettled() == (0, 0.0)
    assert await outbox.tally("claim:") == (1, 1)
    assert await outbox.tally("claim") == (1, 1)
    assert await outbox.tally("reveal:") == (0, 0)
