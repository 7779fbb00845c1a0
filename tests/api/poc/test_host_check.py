import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.fleet.interface import NoNodeAvailable
from pivot.api.poc.host_check import HostCheck, draw_samples, proven_fingerprint
from pivot.api.poc.leaves_api import MAX_INDICES, ServedLeaf
from pivot.protocol.generated.inference.inference.types_pb2 import PocCommit, PocNodeCommit, PocVerdict
from pivot.protocol.mlnode_api import ValidateRequest
from pivot.protocol.sprint import SPRINT_PRESETS, LeafTree, leaf_bytes, nonce_of
from tests.api.fleet.ml_node import fingerprint, random_leaf

PRESET = SPRINT_PRESETS["devnet"]
SEED = bytes(range(32))


class Claim:
    """A host's leaves: two nodes with 30 and 70."""

    def __init__(self) -> None:
        counts = {1: 30, 2: 70}
        self.leaves = {n: [fingerprint(nonce_of(n, i)) for i in range(count)] for n, count in counts.items()}
        self.trees = {
            n: LeafTree(leaf_bytes(nonce_of(n, i), leaf) for i, leaf in enumerate(leaves))
            for n, leaves in self.leaves.items()
        }
        self.commit = PocCommit(
            participant="gonka1host",
            epoch_index=1,
            nodes=[
                PocNodeCommit(node_number=n, node_id=f"node{n}", count=counts[n], merkle_root=tree.root())
                for n, tree in self.trees.items()
            ],
        )
        self.silent: set[int] = set()
        self.refusals = 0
        self.missing: set[int] = set()

    async def source(self, node_number: int, indices: Sequence[int]) -> list[ServedLeaf]:
        if node_number in self.silent:
            await asyncio.sleep(60)
        if self.refusals:
            self.refusals -= 1
            raise NotAnswered("not yet")
        tree = self.trees[node_number]
        return [
            ServedLeaf.of(index, self.leaves[node_number][index], tree.proof(index))
            for index in indices
            if index not in self.missing
        ]

    def check(self, size: int = 40, *, distances: Any = None, **fields: Any) -> HostCheck:
        async def recompute(request: ValidateRequest) -> list[int]:
            if distances is None:
                raise NoNodeAvailable("none")
            return [distances] * len(request.nonces)

        return HostCheck(self.commit, PRESET, size, sprint_seed=SEED, source=self.source, recompute=recompute, **fields)


async def outcome(check: HostCheck, patience_s: float = 5.0) -> tuple[int, int, str]:
    """The vote when the check is done, or when the time is over."""
    running = asyncio.create_task(check.run())
    await asyncio.wait({running}, timeout=patience_s)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    vote = check.vote()
    assert vote.participant == "gonka1host"
    return vote.checked, vote.mismatched, PocVerdict.Name(vote.verdict)


async def test_honest_work_is_valid() -> None:
    assert await outcome(Claim().check(distances=3)) == (40, 0, "POC_VALID")


async def test_what_is_recomputed_is_said_to_be_of_its_sprint() -> None:
    asked: list[ValidateRequest] = []

    async def recompute(request: ValidateRequest) -> list[int]:
        asked.append(request)
        return [0] * len(request.nonces)

    claim = Claim()
    await HostCheck(claim.commit, PRESET, 40, sprint_seed=SEED, source=claim.source, recompute=recompute).run()
    assert {(request.epoch, request.sprint_seed) for request in asked} == {(1, SEED.hex())}


async def test_wrong_work_is_invalid() -> None:
    assert await outcome(Claim().check(distances=PRESET.tolerance + 1)) == (40, 40, "POC_INVALID")


async def test_a_host_is_asked_again_until_it_answers() -> None:
    claim = Claim()
    claim.refusals = 5
    assert await outcome(claim.check(distances=3)) == (40, 0, "POC_VALID")


async def test_leaves_that_are_not_handed_out_are_mismatches() -> None:
    claim = Claim()
    claim.silent = {1, 2}
    assert await outcome(claim.check(distances=3), 0.1) == (40, 40, "POC_INVALID")


async def test_a_node_that_is_kept_back_is_found_out() -> None:
    claim = Claim()
    claim.silent = {2}
    checked, mismatched, verdict = await outcome(claim.check(100, distances=3), 0.2)
    assert (checked, mismatched, verdict) == (100, 70, "POC_INVALID")


async def test_one_leaf_kept_back_keeps_its_request_from_counting() -> None:
    claim = Claim()
    claim.missing = {5}
    checked, mismatched, _ = await outcome(claim.check(100, distances=3), 0.2)
    assert (checked, mismatched) == (100, 100)


async def test_leaves_that_do_not_prove_themselves_are_mismatches() -> None:
    claim = Claim()
    claim.leaves[1] = [random_leaf() for _ in range(30)]
    checked, mismatched, _ = await outcome(claim.check(100, distances=3))
    assert (checked, mismatched) == (100, 30)


async def test_without_an_own_node_that_checks_it_abstains() -> None:
    assert await outcome(Claim().check()) == (0, 0, "POC_ABSTAIN")


async def test_on_a_commit_without_leaves_there_is_no_verdict() -> None:
    claim = Claim()
    del claim.commit.nodes[:]
    assert await outcome(claim.check(distances=3)) == (0, 0, "POC_ABSTAIN")


async def test_one_that_came_late_does_not_blame_a_silent_host() -> None:
    claim = Claim()
    claim.silent = {1, 2}
    assert await outcome(claim.check(distances=3, late=True), 0.1) == (0, 0, "POC_ABSTAIN")
    assert await outcome(Claim().check(distances=3, late=True)) == (40, 0, "POC_VALID")


def test_the_sample_has_its_size_and_no_leaf_twice() -> None:
    nodes = [PocNodeCommit(node_number=1, count=1_000), PocNodeCommit(node_number=2, count=3_000)]
    parts = list(draw_samples(nodes, 2_000))
    assert all(len(indices) <= MAX_INDICES for _, indices in parts)
    drawn = Counter((node.node_number, index) for node, indices in parts for index in indices)
    assert len(drawn) == 2_000
    assert max(drawn.values()) == 1
    assert all(0 <= index < (1_000 if number == 1 else 3_000) for number, index in drawn)
    share = sum(1 for number, _ in drawn if number == 2) / 2_000
    assert 0.68 < share < 0.82  # in proportion to the counts; six standard deviations


def test_a_small_commit_is_checked_whole() -> None:
    ((node, indices),) = draw_samples([PocNodeCommit(node_number=1, count=3)], 40)
    assert (node.node_number, indices) == (1, [0, 1, 2])
    assert list(draw_samples([], 40)) == []


def test_samples_differ_from_check_to_check() -> None:
    nodes = [PocNodeCommit(node_number=1, count=100_000)]
    assert [i for _, i in draw_samples(nodes, 40)] != [i for _, i in draw_samples(nodes, 40)]


@pytest.mark.parametrize("leaf", [ServedLeaf(index=0, fingerprint="?", proof=[]), ServedLeaf.of(0, b"short", [])])
def test_what_is_no_fingerprint_proves_nothing(leaf: ServedLeaf) -> None:
    assert proven_fingerprint(Claim().commit.nodes[0], leaf) is None
