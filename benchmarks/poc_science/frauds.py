"""Machines that do less than all the work, or none, and claim the whole. Where they do work, it is in fp16 as honest ones do."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.poc_science.arithmetic import (
    HALF,
    Arithmetic,
    Array,
    Rounding,
    bf16,
    exact,
    fp8,
    fp16,
    in_groups,
    integers,
    library,
    two_of_four,
)
from benchmarks.poc_science.honest import Machine, work
from benchmarks.poc_science.transformer import (
    ANOTHER_HOST,
    Sprint,
    Step,
    attention,
    block,
    feed_forward,
    normalised,
    product,
    run,
)
from pivot.mlnode.poc.fingerprint import Fingerprints, project, unit
from pivot.mlnode.poc.model import Layer
from pivot.protocol.sprint import DISTANCE_UNIT

COLUMNS, ROWS, ALL = 0, -1, None
"""Along what a grid has its own step: each column of a matrix, each row of activations, or neither."""
GROUP = 32
"""Rows that share a step in 4-bit weights."""
SUM_BLOCK = 16
"""Inner dimension of a tensor core's instruction: after so many products a sum in fp16 is rounded."""

Where = Callable[[int, int], bool]
"""Whether a layer is among the chosen: its place, the number of layers."""


def everywhere(_place: int, _layers: int) -> bool:
    return True


def every_fourth(place: int, _layers: int) -> bool:
    return place % 4 == 0


def last_quarter(place: int, layers: int) -> bool:
    return 4 * place >= 3 * layers


def one_layer(place: int, layers: int) -> bool:
    return place == layers - 1


PLACES = {"every fourth layer": every_fourth, "last quarter": last_quarter, "one layer": one_layer}
"""In which layers a format is tried, beside all."""


# Cheaper arithmetic


def stored(weights: Rounding, operand: Rounding = fp16) -> Arithmetic:
    """fp16 as honest machines have it, but weights kept in another format, and perhaps what they are multiplied with."""
    return replace(HALF, weights=weights, operand=operand)


FORMATS = {
    "fp8 weights": stored(fp8(COLUMNS)),
    "fp8 weights and activations": stored(fp8(COLUMNS), fp8(ROWS)),
    "fp8 activations": stored(exact, fp8(ROWS)),
    "int8 weights": stored(integers(8, COLUMNS)),
    "int8 weights and activations": stored(integers(8, COLUMNS), integers(8, ROWS)),
    "int8 activations": stored(exact, integers(8, ROWS)),
    "int4 weights": stored(in_groups(4, GROUP)),
    "int4 weights and activations": stored(in_groups(4, GROUP), integers(4, ROWS)),
    "two of four weights": stored(two_of_four),
}
WHOLE_FORMATS = {
    "fp8 weights, one scale": stored(fp8(ALL)),
    "int8 weights, one scale": stored(integers(8, ALL)),
    "bf16": Arithmetic(operand=bf16, scores=bf16, result=bf16),
    "bf16, results kept in fp32": Arithmetic(operand=bf16, scores=bf16),
    "sums in fp16": replace(HALF, parts=lambda inner: inner // SUM_BLOCK, partial=fp16),
    "residual stream in fp16": replace(HALF, stream=fp16),
}
"""Tried in all layers alone. Sums in fp16 are twice as fast on cards for games."""


def partly(arithmetic: Arithmetic, where: Where) -> Machine:
    """Other arithmetic in the chosen layers."""
    return chosen(block(arithmetic), where, block(HALF))


def chosen(step: Step, where: Where, otherwise: Step) -> Machine:
    """One step in the chosen layers, another in all others."""

    def either(sprint: Sprint, place: int, layer: Layer, x: Array) -> Array:
        return (step if where(place, sprint.shape.layers) else otherwise)(sprint, place, layer, x)

    return lambda sprint: sprint.read(run(sprint, either))


# Parts left out


def nothing(_sprint: Sprint, _place: int, _layer: Layer, x: Array) -> Array:
    """The layer is skipped."""
    return x


def without_attention(_sprint: Sprint, _place: int, layer: Layer, x: Array) -> Array:
    return x + feed_forward(layer, normalised(x), HALF)


def without_feed_forward(sprint: Sprint, _place: int, layer: Layer, x: Array) -> Array:
    return x + attention(sprint, layer, normalised(x), HALF)


def without_mixing(_sprint: Sprint, _place: int, layer: Layer, x: Array) -> Array:
    """Every position attends to itself alone."""
    dim = x.shape[2]
    values = product(normalised(x), layer.qkv[:, 2 * dim :], HALF)
    x = x + product(values, layer.out, HALF)
    return x + feed_forward(layer, normalised(x), HALF)


def without_share(share: float) -> Step:
    """A share of the feed-forward's width is left out."""

    def step(sprint: Sprint, place: int, layer: Layer, x: Array) -> Array:
        width = len(layer.down)
        keep = width - max(1, round(share * width))
        gate, up = layer.gate_up[:, :keep], layer.gate_up[:, width : width + keep]
        narrow = replace(layer, gate_up=library(x).concatenate((gate, up), 1), down=layer.down[:keep])
        return block(HALF)(sprint, place, narrow, x)

    return step


def without_head(sprint: Sprint, place: int, layer: Layer, x: Array) -> Array:
    """One head of attention is left out."""
    keep = np.ones(sprint.shape.dim, np.float32)
    keep[: sprint.shape.head_dim] = 0
    return block(HALF)(sprint, place, replace(layer, out=layer.out * sprint.here(keep)[:, None]), x)


def shorter(positions: Callable[[int], int]) -> Machine:
    """Only the first positions go through the layers; those left out stay as they came in."""

    def machine(sprint: Sprint) -> Fingerprints:
        x = sprint.inputs()
        kept = positions(sprint.shape.sequence)
        worked = run(sprint, block(HALF), x[:, :kept])
        return sprint.read(library(x).concatenate((worked, x[:, kept:]), 1))

    return machine


def last_position(step: Step) -> Step:
    """The whole layer, but its result is kept at the last position alone."""

    def lazy(sprint: Sprint, place: int, layer: Layer, x: Array) -> Array:
        return library(x).concatenate((x[:, :-1], step(sprint, place, layer, x)[:, -1:]), 1)

    return lazy


def all_but_one_position(sprint: Sprint, place: int, layer: Layer, x: Array) -> Array:
    """One position is left out of the layer."""
    done, one = block(HALF)(sprint, place, layer, x), sprint.shape.sequence // 2
    return library(x).concatenate((done[:, :one], x[:, one : one + 1], done[:, one + 1 :]), 1)


def last_position_read(sprint: Sprint) -> Fingerprints:
    """The whole pass, of which only the last position goes into the fingerprint."""
    states = sprint.states(run(sprint, block(HALF)))
    return project(unit(states[:, -1]), sprint.stream, sprint.nonces)


# No work at all


def of_another_nonce(sprint: Sprint) -> Fingerprints:
    return np.roll(work(HALF)(sprint), 1, axis=0)


def of_another_host(sprint: Sprint) -> Fingerprints:
    return work(HALF)(replace(sprint, host=ANOTHER_HOST))


def states_of_another_host(sprint: Sprint) -> Fingerprints:
    """Another host's final states, read with one's own signs and directions."""
    return sprint.read(run(replace(sprint, host=ANOTHER_HOST), block(HALF)))


def of_another_sprint(sprint: Sprint, place: int, layer: Layer, x: Array) -> Array:
    """Last epoch's model on this epoch's inputs: rows moved by one stand for other random matrices."""
    moved = Layer(*(library(x).roll(each, 1, 0) for each in (layer.qkv, layer.out, layer.gate_up, layer.down)))
    return block(HALF)(sprint, place, moved, x)


def guessed(sprint: Sprint) -> Fingerprints:
    guesses = np.random.default_rng(7).normal(0, DISTANCE_UNIT, (len(sprint.nonces), 16))
    return guesses.clip(-(2**15) + 1, 2**15 - 1).astype("<i2")


def all_zero(sprint: Sprint) -> Fingerprints:
    """The guess that is nearest on average."""
    return np.zeros((len(sprint.nonces), 16), "<i2")


def catalogue() -> dict[str, Machine]:
    """Every fraud by name, in the order in which they are told. Single layers are `without_layer`."""
    whole = block(HALF)
    cheaper = {}
    for name, arithmetic in FORMATS.items():
        cheaper[name] = partly(arithmetic, everywhere)
        cheaper |= {f"{name}, {place}": partly(arithmetic, where) for place, where in PLACES.items()}
    return {
        **cheaper,
        **{name: partly(arithmetic, everywhere) for name, arithmetic in WHOLE_FORMATS.items()},
        "bf16, every fourth layer": partly(WHOLE_FORMATS["bf16"], every_fourth),
        "no layers": chosen(nothing, everywhere, whole),
        "the first half of the layers": chosen(nothing, lambda i, n: 2 * i >= n, whole),
        "every other layer": chosen(nothing, lambda i, _: i % 2 == 1, whole),
        "no attention": chosen(without_attention, everywhere, whole),
        "no attention in one layer": chosen(without_attention, one_layer, whole),
        "every position attends to itself": chosen(without_mixing, everywhere, whole),
        "one head left out": chosen(without_head, everywhere, whole),
        "one head left out in one layer": chosen(without_head, one_layer, whole),
        "no feed-forward": chosen(without_feed_forward, everywhere, whole),
        "no feed-forward in one layer": chosen(without_feed_forward, one_layer, whole),
        "half the feed-forward": chosen(without_share(0.5), everywhere, whole),
        "1 % of the feed-forward left out": chosen(without_share(0.01), everywhere, whole),
        "1 % left out in one layer": chosen(without_share(0.01), one_layer, whole),
        "half the sequence": shorter(lambda length: length // 2),
        "all positions but the last": shorter(lambda length: length - 1),
        "last position only": chosen(last_position(whole), everywhere, whole),
        "last position only in one layer": chosen(last_position(whole), one_layer, whole),
        "one position left out of one layer": chosen(all_but_one_position, one_layer, whole),
        "last position read alone": last_position_read,
        "another nonce's fingerprint": of_another_nonce,
        "another host's fingerprint": of_another_host,
        "another host's states": states_of_another_host,
        "last epoch's model": chosen(of_another_sprint, everywhere, whole),
        "guessed": guessed,
        "all zero": all_zero,
    }


def without_layer(place: int) -> Machine:
    """One layer skipped."""
    return chosen(nothing, lambda i, _: i == place, block(HALF))
