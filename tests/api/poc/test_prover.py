from pathlib import Path

import pytest

from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.poc.leaves import LeafFiles
from pivot.api.poc.prover import ForeignBatch, NotReady, SprintOver
from pivot.api.poc.records import sprint_record
from pivot.protocol import hash_chain
from pivot.protocol.generated.inference.inference.types_pb2 import MLNodeInfo
from pivot.protocol.mlnode_api import GeneratedBatch, Mode, PowState, encode_fingerprints
from pivot.protocol.sprint import leaf_bytes, merkle_root, nonce_of
from tests.api.databases import ON_BOTH, DatabaseAt
from tests.api.fleet.chain import CHAIN_ID, MODEL, FakeChain, FakePhases, epoch, group, until
from tests.api.fleet.ml_node import FakeMlNode, fingerprint
from tests.api.poc.host import Host, host

pytestmark = ON_BOTH
MARKS = epoch(1).boundaries
BOOKS_CLOSE = MARKS.poc_generation_end + 1


def batch(one: Host, **fields: object) -> GeneratedBatch:
    base = {
        "epoch": 1,
        "host_address": one.address,
        "node_id": 1,
        "batch_id": "b",
        "first_index": 0,
        "fingerprints": encode_fingerprints(fingerprint(nonce_of(1, 0))),
    }
    return GeneratedBatch.model_validate({**base, **fields})


async def sprint(one: Host, node: FakeMlNode, height: int = MARKS.poc_start) -> None:
    """The sprint of epoch 1 has begun, and the node is in it."""
    one.chain.latest = epoch(1)
    await one.phases.at(height)
    await until(lambda: node.pow == PowState.GENERATING)


async def test_a_sprint_from_its_first_leaf_to_the_commit(one: Host) -> None:
    async with FakeMlNode.running() as node:
        await one.add(node)
        await one.phases.at(5)
        await until(lambda: node.mode == Mode.INFERENCE and node.model == MODEL)
        await sprint(one, node)
        assert await node.send_leaves(30) == 200
        assert await node.send_leaves(12) == 200
        await one.phases.at(MARKS.poc_generation_end)
        await until(lambda: node.pow == PowState.VALIDATING)
        assert await node.send_leaves(3) == 200  # they were under way
        assert not one.outbox.messages.keys() & {"poc-commit:1"}
        await one.phases.at(BOOKS_CLOSE)
        await until(lambda: "poc-commit:1" in one.outbox.messages)
        assert await node.send_leaves(1) == 410
        commit = one.commit()
        (told,) = commit.nodes
        leaves = [leaf_bytes(nonce_of(1, index), fingerprint(nonce_of(1, index))) for index in range(45)]
        assert (told.node_number, told.node_id, told.count) == (1, "node1", 45)
        assert told.merkle_root == merkle_root(leaves)
        record = await sprint_record(one.database, 1)
        assert record is not None
        assert commit.hash_chain_tip == hash_chain.tip(CHAIN_ID, 1, one.address, record.secret)
        assert one.outbox.deadlines["poc-commit:1"] == MARKS.poc_exchange_end
        await one.phases.at(MARKS.poc_validation_end)
        await until(lambda: node.mode == Mode.INFERENCE)


async def test_a_host_without_leaves_does_not_commit(one: Host) -> None:
    async with FakeMlNode.running() as node:
        await one.add(node)
        await sprint(one, node)
        await one.phases.at(BOOKS_CLOSE)
        await until(lambda: node.pow == PowState.VALIDATING)
        assert "poc-commit:1" not in one.outbox.messages
        assert await node.send_leaves(1) == 410


async def test_a_node_with_the_slot_serves_and_is_not_in_the_commit(one: Host) -> None:
    async with FakeMlNode.running() as serving, FakeMlNode.running() as sprinting:
        await one.add(serving, "serving")
        await one.add(sprinting, "sprinting")
        slot = MLNodeInfo(node_id="serving", node_number=1, timeslot_allocation=[True, True])
        one.chain.groups[0, ""] = group(0, {one.address: [slot]})
        await sprint(one, sprinting)
        await until(lambda: serving.mode == Mode.INFERENCE)
        await sprinting.send_leaves(5)
        await one.phases.at(BOOKS_CLOSE)
        await until(lambda: "poc-commit:1" in one.outbox.messages)
        assert [node.node_id for node in one.commit().nodes] == ["sprinting"]
        assert serving.mode == Mode.INFERENCE


async def test_a_node_that_carries_its_weight_keeps_its_host_in_the_commit(one: Host) -> None:
    async with FakeMlNode.running() as serving, FakeMlNode.running() as broken:
        await one.add(serving, "serving")
        await one.add(broken, "broken")
        slot = MLNodeInfo(node_id="serving", node_number=1, timeslot_allocation=[True, True])
        one.chain.groups[0, ""] = group(0, {one.address: [slot]})
        await sprint(one, broken)
        await one.phases.at(BOOKS_CLOSE)
        await until(lambda: "poc-commit:1" in one.outbox.messages)
        assert not one.commit().nodes


async def test_a_node_that_the_chain_does_not_know_yet_spoils_no_commit(one: Host) -> None:
    async with FakeMlNode.running() as known, FakeMlNode.running() as new:
        await one.add(known, "known")
        await sprint(one, known)
        one.outbox.on_put = lambda _key, _message: None  # the report stays under way
        await one.fleet.put(NodeDeclaration.parse(new.declared("new")))
        await until(lambda: new.pow == PowState.GENERATING)
        for node in (known, new):
            assert await node.send_leaves(5) == 200
        await one.phases.at(BOOKS_CLOSE)
        await until(lambda: "poc-commit:1" in one.outbox.messages)
        assert [node.node_id for node in one.commit().nodes] == ["known"]


async def test_a15_one_that_was_away_commits_while_it_still_can(
    chain: FakeChain, phases: FakePhases, tmp_path: Path, database_at: DatabaseAt
) -> None:
    async with FakeMlNode.running() as node:
        async with host(chain, phases, tmp_path, database_at) as before:
            await before.add(node)
            await sprint(before, node)
            await node.send_leaves(20)
        async with host(chain, phases, tmp_path, database_at) as after:
            await phases.at(MARKS.poc_exchange_end - 1)
            await until(lambda: "poc-commit:1" in after.outbox.messages)
            assert [each.count for each in after.commit().nodes] == [20]


async def test_one_that_came_too_late_does_not(
    chain: FakeChain, phases: FakePhases, tmp_path: Path, database_at: DatabaseAt
) -> None:
    async with FakeMlNode.running() as node:
        async with host(chain, phases, tmp_path, database_at) as before:
            await before.add(node)
            await sprint(before, node)
            await node.send_leaves(20)
        async with host(chain, phases, tmp_path, database_at) as after:
            await phases.at(MARKS.poc_exchange_end)
            await until(lambda: after.prover._sent_epoch == 1)
            assert "poc-commit:1" not in after.outbox.messages


async def test_a_restart_after_the_books_are_closed_sends_the_same_commit(
    chain: FakeChain, phases: FakePhases, tmp_path: Path, database_at: DatabaseAt
) -> None:
    async with FakeMlNode.running() as node:
        async with host(chain, phases, tmp_path, database_at) as before:
            await before.add(node)
            await sprint(before, node)
            await node.send_leaves(20)
            await phases.at(BOOKS_CLOSE)
            first = await until(lambda: before.outbox.messages.get("poc-commit:1"))
        async with host(chain, phases, tmp_path, database_at) as after:
            await phases.at(BOOKS_CLOSE + 1)
            assert await until(lambda: after.outbox.messages.get("poc-commit:1")) == first
            with pytest.raises(SprintOver):
                after.prover.accept(batch(after))


async def test_a_restarted_ml_node_goes_on_after_its_last_leaf(one: Host) -> None:
    async with FakeMlNode.running() as node:
        await one.add(node)
        await sprint(one, node)
        await node.send_leaves(20)
        node.mode, node.pow, node.init, node.next_index = Mode.STOPPED, PowState.NOT_LOADED, None, 0
        await until(lambda: node.init is not None)
        assert node.next_index == 20
        assert await node.send_leaves(5) == 200


async def test_batches_are_refused_by_what_is_wrong_with_them(one: Host) -> None:
    async with FakeMlNode.running() as node:
        with pytest.raises(NotReady):
            one.prover.accept(batch(one))
        await one.add(node)
        await sprint(one, node)
        with pytest.raises(ForeignBatch, match="host_address"):
            one.prover.accept(batch(one, host_address="gonka1other"))
        with pytest.raises(ForeignBatch, match="node_id 9"):
            one.prover.accept(batch(one, node_id=9))
        with pytest.raises(NotReady, match="epoch 2"):
            one.prover.accept(batch(one, epoch=2))
        with pytest.raises(SprintOver):
            one.prover.accept(batch(one, epoch=0))
        one.prover.accept(batch(one))
        one.prover.accept(batch(one))
        assert one.prover.leaves.count(1, 1) == 1


async def test_a_chain_that_does_not_answer_is_asked_again_at_the_next_block(one: Host) -> None:
    async with FakeMlNode.running() as node:
        await one.add(node)
        one.chain.latest = epoch(1)
        one.chain.down = True
        await one.phases.at(MARKS.poc_start)
        assert node.pow == PowState.NOT_LOADED
        one.chain.down = False
        await one.phases.at(MARKS.poc_start + 1)
        await until(lambda: node.pow == PowState.GENERATING)


async def test_a_model_that_is_registered_later_is_served_then(one: Host) -> None:
    models, one.chain.models = one.chain.models, []
    async with FakeMlNode.running() as node:
        one.chain.models = models
        await one.add(node)
        one.chain.models = []
        await one.phases.at(3)
        await one.phases.at(4)
        assert node.mode == Mode.STOPPED
        one.chain.models = models
        await one.phases.at(5)
        await until(lambda: node.mode == Mode.INFERENCE)


async def test_old_epochs_are_forgotten(one: Host) -> None:
    LeafFiles.append(one.prover.leaves, 1, 1, 0, fingerprint(0))
    one.chain.latest = epoch(4, 370)
    await one.phases.at(371)
    await until(lambda: one.prover.leaves.node_numbers(1) == [])
