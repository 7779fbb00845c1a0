"""The pure part of proof of compute: seeds, nonces, the Merkle tree, distances, verdicts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.protocol.sprint import (
    FINGERPRINT_BYTES,
    MAX_CHECKED_LEAVES,
    MAX_INDEX,
    MAX_NODE_NUMBER,
    SPRINT_PRESETS,
    LeafTree,
    distance,
    host_seed,
    judge,
    leaf_bytes,
    merkle_root,
    nonce_of,
    sprint_seed,
    verdict,
    verify_merkle_proof,
)

DEVNET = SPRINT_PRESETS["devnet"]
ZERO = bytes(FINGERPRINT_BYTES)


def leaves(count: int) -> list[bytes]:
    return [leaf_bytes(i, hashlib.sha256(b"%d" % i).digest()) for i in range(count)]


@pytest.mark.parametrize(
    ("name", "parameters", "flops"),
    [
        ("devnet", 524_288, 17_301_504),
        ("small", 1_023_410_176, 263_066_746_880),
        ("mainnet", 17_733_517_312, 9_109_625_634_816),
    ],
)
def test_presets_have_the_published_size(name: str, parameters: int, flops: int) -> None:
    assert SPRINT_PRESETS[name].parameter_count() == parameters
    assert SPRINT_PRESETS[name].flops_per_pass() == flops


def test_a_preset_that_cannot_be_cut_into_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="dim must be"):
        replace(DEVNET, heads=5)


def test_the_sprint_seed_is_the_documented_hash() -> None:
    block_hash, randomness = b"\x01" * 32, b"\x02" * 32
    material = b"pivot/poc/1" + b"\0\0\0\x08" + b"pivot-01" + b"\0\0\0\0\0\0\0\x07" + block_hash + randomness
    assert sprint_seed("pivot-01", 7, block_hash, randomness) == hashlib.sha256(material).digest()


def test_every_part_of_the_sprint_seed_counts() -> None:
    one, two = b"\x01" * 32, b"\x02" * 32
    seeds = {
        sprint_seed("pivot-1", 1, one, one),
        sprint_seed("pivot-2", 1, one, one),
        sprint_seed("pivot-1", 2, one, one),
        sprint_seed("pivot-1", 1, two, one),
        sprint_seed("pivot-1", 1, one, two),
    }
    assert len(seeds) == 5


@pytest.mark.parametrize(
    ("epoch", "block_hash", "randomness"),
    [(-1, bytes(32), bytes(32)), (1, bytes(31), bytes(32)), (1, bytes(32), b"")],
)
def test_a_sprint_seed_of_malformed_parts_is_refused(epoch: int, block_hash: bytes, randomness: bytes) -> None:
    with pytest.raises(ValueError, match=r"epoch|block_hash|randomness"):
        sprint_seed("pivot", epoch, block_hash, randomness)


def test_the_host_seed_binds_seed_and_address() -> None:
    seed = bytes(range(32))
    assert host_seed(seed, "gonka1abc") == hashlib.sha256(seed + b"gonka1abc").digest()
    assert host_seed(seed, "gonka1abc") != host_seed(seed, "gonka1abd")
    with pytest.raises(ValueError, match="sprint_seed"):
        host_seed(b"short", "gonka1abc")


def test_nonces_of_different_nodes_never_meet() -> None:
    assert nonce_of(0, MAX_INDEX) + 1 == nonce_of(1, 0)
    assert nonce_of(MAX_NODE_NUMBER, MAX_INDEX) == 2**63 - 1


@pytest.mark.parametrize(("node", "index"), [(-1, 0), (MAX_NODE_NUMBER + 1, 0), (0, -1), (0, MAX_INDEX + 1)])
def test_a_nonce_out_of_range_is_refused(node: int, index: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        nonce_of(node, index)


def slow_top(hashes: Sequence[bytes]) -> bytes:
    """The tree as its definition says it."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + slow_top(hashes[:split]) + slow_top(hashes[split:])).digest()


def slow_root(items: Sequence[bytes]) -> bytes:
    top = slow_top([hashlib.sha256(b"\x00" + item).digest() for item in items]) if items else b""
    return hashlib.sha256(b"pivot/poc/tree/1" + len(items).to_bytes(8, "big") + top).digest()


def test_the_tree_grown_leaf_by_leaf_equals_the_definition() -> None:
    items = leaves(70)
    tree = LeafTree()
    for count in range(len(items) + 1):
        assert len(tree) == count
        assert tree.root() == merkle_root(items[:count]) == slow_root(items[:count])
        tree.extend(items[count : count + 1])


def test_every_leaf_of_every_size_has_a_proof() -> None:
    items = leaves(40)
    for count in range(1, len(items) + 1):
        root = merkle_root(items[:count])
        for index in range(count):
            assert verify_merkle_proof(root, count, index, items[index], LeafTree(items[:count]).proof(index))


@given(st.integers(2, 60), st.data())
def test_a_proof_holds_for_its_own_leaf_place_and_count_alone(count: int, data: st.DataObject) -> None:
    items = leaves(count)
    index = data.draw(st.integers(0, count - 1))
    other = data.draw(st.integers(0, count - 1).filter(lambda i: i != index))
    root, proof = merkle_root(items), LeafTree(items).proof(index)
    assert verify_merkle_proof(root, count, index, items[index], proof)
    assert not verify_merkle_proof(root, count, other, items[index], proof)
    assert not verify_merkle_proof(root, count, index, items[other], proof)
    assert not verify_merkle_proof(root, count + 1, index, items[index], proof)
    assert not verify_merkle_proof(root, count, index, items[index], proof[:-1])
    assert not verify_merkle_proof(root, count, index, items[index], [*proof, bytes(32)])
    assert not verify_merkle_proof(root, count, index, items[index], [bytes(31), *proof[1:]])
    assert not verify_merkle_proof(root, count, count, items[index], proof)


def test_a_proof_of_a_leaf_outside_the_tree_is_refused() -> None:
    with pytest.raises(IndexError):
        LeafTree(leaves(3)).proof(3)


def test_a_leaf_of_malformed_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        leaf_bytes(0, b"short")
    with pytest.raises(ValueError, match="nonce"):
        leaf_bytes(2**63, ZERO)


def test_an_inner_node_cannot_pass_for_a_leaf() -> None:
    items = leaves(2)
    inner = b"".join(hashlib.sha256(b"\x00" + item).digest() for item in items)
    assert merkle_root([inner]) != merkle_root(items)


def test_distance_is_the_rounded_euclidean_distance() -> None:
    def fingerprint(*coordinates: int) -> bytes:
        padded = [*coordinates, *([0] * (16 - len(coordinates)))]
        return b"".join(c.to_bytes(2, "little", signed=True) for c in padded)

    assert distance(fingerprint(3, -4), ZERO) == 5
    assert distance(fingerprint(1, 1), ZERO) == 1  # 1.41
    assert distance(fingerprint(1, 1, 1), ZERO) == 2  # 1.73
    assert distance(fingerprint(*[32_767] * 16), fingerprint(*[-32_768] * 16)) == 4 * 65_535
    with pytest.raises(ValueError, match="fingerprint"):
        distance(ZERO, b"")


def test_honest_work_stands() -> None:
    judgement = judge(DEVNET, [6] * 100)
    assert (judgement.checked, judgement.mismatched, judgement.square_sum) == (100, 0, 3600)
    assert judgement.valid


def test_one_mismatch_is_forgiven_and_two_are_not() -> None:
    assert [judge(DEVNET, [6] * (100 - bad) + [20_000] * bad).valid for bad in range(5)] == [True] * 2 + [False] * 3


def test_leaves_not_served_are_mismatches() -> None:
    judgement = judge(DEVNET, [6] * 90 + [None] * 10)
    assert judgement.mismatched == 10
    assert not judgement.valid


def test_the_tolerance_itself_still_matches() -> None:
    assert judge(DEVNET, [DEVNET.tolerance]).mismatched == 0
    assert judge(DEVNET, [DEVNET.tolerance + 1]).mismatched == 1


def test_work_a_little_wrong_everywhere_is_refused() -> None:
    judgement = judge(DEVNET, [DEVNET.tolerance - 1] * 100)
    assert judgement.mismatched == 0
    assert not judgement.valid


def test_a_host_with_few_leaves_is_not_refused_for_one_that_matches() -> None:
    """Of an honest pair's single leaves a few in a thousand lie above the limit of the pooled rms (docs/protocol/poc.md, 6.3)."""
    above = DEVNET.rms_limit + 1
    assert above <= DEVNET.tolerance
    assert [judge(DEVNET, [above] * leaves).valid for leaves in (1, 7, 8, 9)] == [True, True, False, False]
    assert not judge(DEVNET, [above] * 7 + [None] * 33).valid


def test_nothing_checked_is_never_valid() -> None:
    assert not verdict(DEVNET, 0, 0, 0)


def test_all_mismatched_is_never_valid_with_two_leaves_or_more() -> None:
    assert [verdict(DEVNET, n, n, 0) for n in range(1, 6)] == [True, False, False, False, False]


def test_counts_that_cannot_be_are_refused() -> None:
    for checked, mismatched in ((1, 2), (1, -1), (MAX_CHECKED_LEAVES + 1, 0)):
        with pytest.raises(ValueError, match="cannot be"):
            verdict(DEVNET, checked, mismatched, 0)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 10**8), st.integers(1, 10**9))
def test_the_binomial_test_is_exact(checked: int, mismatched: int, probability: int, threshold: int) -> None:
    mismatched = min(checked, mismatched)
    preset = replace(DEVNET, mismatch_probability=probability, verdict_threshold=threshold)
    p = Fraction(probability, 10**9)
    tail = sum(comb(checked, k) * p**k * (1 - p) ** (checked - k) for k in range(mismatched, checked + 1))
    assert verdict(preset, checked, mismatched, 0) == (tail >= Fraction(threshold, 10**9))


def test_the_binomial_test_agrees_with_its_tail_at_ten_thousand_leaves() -> None:
    # Mean 0.1 mismatches at 1e-5: P(X >= 4) is 3.8e-6 and P(X >= 5) is 7.7e-8 (Poisson limit), threshold 1e-6.
    assert verdict(DEVNET, 10_000, 4, 0)
    assert not verdict(DEVNET, 10_000, 5, 0)
