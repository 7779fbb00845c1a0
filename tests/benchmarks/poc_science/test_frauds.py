"""Every fraud of the catalogue on a small model, against a checker's exact products."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.poc_science.arithmetic import EXACT, HALF
from benchmarks.poc_science.frauds import catalogue, without_layer
from benchmarks.poc_science.honest import distances, machines, work
from benchmarks.poc_science.measurements import judged, shape
from benchmarks.poc_science.transformer import HOST, Sprint, attention, block, feed_forward, run
from pivot.mlnode.poc import model as own
from pivot.mlnode.poc.fingerprint import Fingerprints, fingerprints, host_stream
from pivot.mlnode.poc.model import SprintModel
from pivot.protocol.sprint import distance, host_seed, judge

SHAPE = shape(64, 8, 16)
SEED = bytes(range(32))
SPRINT = Sprint.of(SHAPE, SEED, 12)
CHECKED = work(EXACT)(SPRINT)

SLOPPY = {"sums in fp16", "residual stream in fp16"}
"""They do nearly as much work; errors of so small a model are still below the limits."""


def leaves(claims: Fingerprints) -> list[int]:
    return [distance(a.tobytes(), b.tobytes()) for a, b in zip(claims, CHECKED, strict=True)]


def test_distances_are_the_protocols() -> None:
    claims = work(HALF)(SPRINT)
    assert distances(claims, CHECKED).tolist() == leaves(claims)


def test_exact_products_are_those_of_the_ml_node() -> None:
    model = SprintModel.build(SHAPE, SEED)
    claims = fingerprints(model, host_stream(host_seed(SEED, HOST)), SPRINT.nonces)
    assert max(leaves(claims)) <= 1


def test_half_products_are_those_of_the_ml_node() -> None:
    model = SprintModel.build(SHAPE, SEED)
    x = SPRINT.inputs()
    theirs = own.attention(model, model.layers[0], x, own.half)
    np.testing.assert_allclose(attention(SPRINT, SPRINT.matrices(0), x, HALF), theirs, atol=2e-3)
    theirs = own.feed_forward(model.layers[0], x, own.half)
    np.testing.assert_allclose(feed_forward(SPRINT.matrices(0), x, HALF), theirs, atol=2e-3)


def test_all_machines_but_careless_ones_do_the_same_work() -> None:
    for claims in machines(SPRINT).values():
        assert judge(SHAPE, leaves(claims)).valid


@pytest.mark.parametrize("name", [name for name in catalogue() if name not in SLOPPY])
def test_m_item26_less_than_the_whole_work_is_refused(name: str) -> None:
    assert not judge(SHAPE, leaves(catalogue()[name](SPRINT))).valid


@pytest.mark.parametrize("place", range(SHAPE.layers))
def test_m_item26_no_layer_can_be_left_out(place: int) -> None:
    """The existing network's proof passes without running any."""
    assert min(leaves(without_layer(place)(SPRINT))) > 10 * SHAPE.tolerance


def test_m_item27_a_claim_needs_all_its_precision() -> None:
    """There a claim is only held against a threshold."""
    coarse = np.rint(CHECKED / 64).astype("<i2") * 64
    assert not judge(SHAPE, leaves(coarse)).valid
    one_coordinate = CHECKED.copy()
    one_coordinate[:, 7] += SHAPE.tolerance + 1
    assert judge(SHAPE, leaves(one_coordinate)).mismatched == len(CHECKED)


def test_what_refuses_a_fraud_is_told() -> None:
    assert judged(SHAPE, np.array([100] * 20))["refused_by"] == "count"
    assert judged(SHAPE, np.array([SHAPE.rms_limit + 1] * 20))["refused_by"] == "rms"
    assert judged(SHAPE, np.array([SHAPE.rms_limit] * 20))["refused_by"] == "nothing"


def test_a_hosts_inputs_are_its_own() -> None:
    other = replace(SPRINT, host="gonka1other")
    assert not np.array_equal(other.inputs(), SPRINT.inputs())


def test_torch_does_the_same_work() -> None:
    pytest.importorskip("torch", reason="torch is an extra")
    sprint = Sprint.of(SHAPE, SEED, 12, "cpu")
    assert max(leaves(sprint.read(run(sprint, block(EXACT))))) <= 2
    for claims in machines(sprint).values():
        assert judge(SHAPE, leaves(claims)).valid
