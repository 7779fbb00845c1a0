"""An answer that was found wrong after a key had been charged for it is credited, once, whatever happens between."""

from typing import Any

import pytest
from sqlalchemy import select

from pivot.api.database import Database
from pivot.api.keys import refunds
from pivot.api.keys.charges import FIRST_LOOK_BLOCKS, Charges
from pivot.api.keys.issued import IssuedKey, IssuedKeys, Terms
from pivot.api.keys.refunds import LOOK_EVERY_BLOCKS, Refunds
from pivot.api.keys.tables import KeyAnswer
from pivot.api.ledger.interface import ChainUnavailable
from pivot.chain.modules.disputes.queries import QUERIES as DISPUTE_QUERIES
from pivot.protocol.generated.inference.inference.query_pb2 import QueryDisputesRequest, QueryDisputesResponse
from pivot.protocol.generated.inference.inference.types_pb2 import Dispute, DisputeOutcome, Inference, InferenceStatus
from tests.api.inference.network import EPOCH, moment_at
from tests.chain.modules.checking import COST as PAID_FOR_ANSWER
from tests.chain.modules.checking import FAILED, Checking
from tests.chain.modules.test_disputes import SEGMENT

ID, COST = "c2lnbmVk", 1000
HEIGHT = 1000


class Records:
    """What the chain remembers."""

    def __init__(self) -> None:
        self.inferences: dict[str, Inference] = {}
        self.disputes: list[Dispute] = []
        self.asked = 0

    async def inference(self, inference_id: str) -> Inference | None:
        return self.inferences.get(inference_id)

    async def query(self, path: str, request: QueryDisputesRequest, response: Any) -> QueryDisputesResponse:
        self.asked += 1
        assert path.endswith("/Disputes")
        assert not request.open_only
        at = int(request.pagination.key or b"0")
        answer = QueryDisputesResponse(disputes=self.disputes[at : at + 1])
        if at + 1 < len(self.disputes):
            answer.pagination.next_key = str(at + 1).encode()
        return answer

    def finish(self, inference_id: str = ID) -> None:
        self.inferences[inference_id] = Inference(
            inference_id=inference_id,
            status=InferenceStatus.FINISHED,
            actual_cost=COST,
            prompt_token_count=4,
            completion_token_count=6,
        )

    def dispute(self, inference_id: str = ID, *, kept: int = 0, outcome: Any = DisputeOutcome.DISPUTE_INVALID) -> None:
        self.disputes.append(Dispute(inference_id=inference_id, outcome=outcome))
        if outcome == DisputeOutcome.DISPUTE_INVALID:
            self.inferences[inference_id].status = InferenceStatus.INVALIDATED
            self.inferences[inference_id].actual_cost = kept


class Node:
    """The part of a node that keeps keys, on one database."""

    def __init__(self, database: Database, chain: Records) -> None:
        self.keys = IssuedKeys(database)
        self.writer = database.writer
        self.charges = Charges(self.keys, chain, database)  # type: ignore[arg-type]
        self.refunds = Refunds(self.keys, chain, database)  # type: ignore[arg-type]

    async def load(self) -> IssuedKey:
        await self.keys.load()
        await self.charges.load()
        [key] = self.keys.all()
        return key

    async def pass_blocks(self, blocks: int, epoch: int = EPOCH) -> None:
        await self.refunds.look(moment_at(epoch, HEIGHT + blocks))


@pytest.fixture
def chain() -> Records:
    return Records()


@pytest.fixture
async def node(each_database: Database, chain: Records) -> Node:
    """A node with a key that was charged for an answer."""
    node = Node(each_database, chain)
    key, _ = await node.keys.issue(Terms("Ada", budget=5000))
    chain.finish()
    await charge(node, key)
    return node


async def charge(node: Node, key: IssuedKey) -> None:
    with node.charges.held(key, ID, 2 * COST, HEIGHT) as begin:
        begin()
    await node.charges._database.writer.flush()
    await node.charges.settle(moment_at(height=HEIGHT + FIRST_LOOK_BLOCKS))


async def remembered(database: Database) -> list[str]:
    async with database.session() as session:
        return list(await session.scalars(select(KeyAnswer.inference_id)))


def used(key: IssuedKey) -> tuple[int, int, int, int, int | None]:
    usage = key.used
    return usage.spent, usage.requests, usage.prompt_tokens, usage.completion_tokens, key.left


async def test_what_was_charged_for_a_wrong_answer_is_credited_once(
    node: Node, chain: Records, each_database: Database
) -> None:
    [key] = node.keys.all()
    assert used(key) == (COST, 1, 4, 6, 4000)
    await node.pass_blocks(LOOK_EVERY_BLOCKS)
    assert used(key) == (COST, 1, 4, 6, 4000)
    chain.dispute()
    for times in range(2, 5):
        await node.pass_blocks(times * LOOK_EVERY_BLOCKS)
        assert used(key) == (0, 0, 0, 0, 5000)
    again = Node(each_database, chain)
    assert used(await again.load()) == (0, 0, 0, 0, 5000)
    await again.pass_blocks(5 * LOOK_EVERY_BLOCKS)
    assert used(await again.load()) == (0, 0, 0, 0, 5000)


async def test_a_restart_between_charge_and_verdict_loses_no_credit(
    node: Node, chain: Records, each_database: Database
) -> None:
    chain.dispute()
    again = Node(each_database, chain)
    key = await again.load()
    assert used(key) == (COST, 1, 4, 6, 4000)
    await again.pass_blocks(LOOK_EVERY_BLOCKS)
    assert used(key) == (0, 0, 0, 0, 5000)


async def test_only_what_the_chain_has_given_back_is_credited(node: Node, chain: Records) -> None:
    chain.dispute(kept=300)
    await node.pass_blocks(LOOK_EVERY_BLOCKS)
    assert used(node.keys.all()[0]) == (300, 0, 0, 0, 4700)


async def test_answers_that_are_right_or_of_others_are_not_credited(node: Node, chain: Records) -> None:
    chain.finish("other")
    chain.dispute("other")
    chain.dispute(outcome=DisputeOutcome.DISPUTE_VALID)
    await node.pass_blocks(LOOK_EVERY_BLOCKS)
    assert chain.asked == 2  # both pages
    assert used(node.keys.all()[0]) == (COST, 1, 4, 6, 4000)


async def test_a_refund_that_the_chain_could_not_tell_is_found_at_the_next_look(
    node: Node, chain: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.dispute()

    async def away(inference_id: str) -> Inference:
        raise ChainUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(chain, "inference", away)
        with pytest.raises(ChainUnavailable):
            await node.pass_blocks(LOOK_EVERY_BLOCKS)
    await node.pass_blocks(LOOK_EVERY_BLOCKS + 1)
    assert used(node.keys.all()[0]) == (0, 0, 0, 0, 5000)


async def test_disputes_are_asked_for_every_few_blocks(node: Node, chain: Records) -> None:
    for block in range(2 * LOOK_EVERY_BLOCKS):
        await node.pass_blocks(block)
    assert chain.asked == 2


async def test_what_nobody_can_dispute_any_more_is_forgotten(node: Node, each_database: Database) -> None:
    kept = refunds._epochs_remembered(moment_at())
    await node.pass_blocks(LOOK_EVERY_BLOCKS, EPOCH + kept)
    assert await remembered(each_database) == [ID]
    await node.pass_blocks(2 * LOOK_EVERY_BLOCKS, EPOCH + kept + 1)
    assert await remembered(each_database) == []


class StateMachine:
    """The chain's own program, asked as a node asks it."""

    def __init__(self) -> None:
        self.network = Checking({"alice": 100, "bob": 60, "carol": 40, "dave": 20, "erin": 60})
        self.answer = self.network.answer("alice")

    async def inference(self, inference_id: str) -> Inference | None:
        return self.network.record(inference_id)

    async def query(self, path: str, request: QueryDisputesRequest, response: Any) -> QueryDisputesResponse:
        [asked] = [handler for handler in DISPUTE_QUERIES if path.endswith(f"/{handler.method.name}")]
        told = asked.answer(self.network.view, request)
        assert isinstance(told, QueryDisputesResponse)
        return told

    def find_wrong(self) -> None:
        """Bob accuses the answer, and more than half of those who may judge agree."""
        self.network.after_segment(SEGMENT)
        self.network.report("bob", SEGMENT, {self.answer: FAILED})
        for voter in ("carol", "erin"):
            self.network.vote(voter, self.answer, invalid=True)


async def test_the_chains_own_refund_is_credited(each_database: Database) -> None:
    chain = StateMachine()
    node = Node(each_database, chain)  # type: ignore[arg-type]  # all that is asked
    key, _ = await node.keys.issue(Terms("Ada", budget=10**12))
    with node.charges.held(key, chain.answer, 10**9, HEIGHT) as begin:
        begin()
    await node.writer.flush()
    await node.charges.settle(moment_at(height=HEIGHT + FIRST_LOOK_BLOCKS))
    assert (key.used.spent, key.used.requests) == (PAID_FOR_ANSWER, 1)
    chain.find_wrong()
    await node.pass_blocks(LOOK_EVERY_BLOCKS)
    assert used(key) == (0, 0, 0, 0, 10**12)
