"""Proof of compute: what the chain, the API node and the ML node must agree on.

Seeds, nonces, the Merkle tree over fingerprints, the distance between two fingerprints and the verdict
of a checker (docs/protocol/poc.md). All of it is integer arithmetic; the forward pass itself lives in
the ML node and is not known here.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SEED_BYTES = 32
FINGERPRINT_COORDINATES = 16
FINGERPRINT_BYTES = 2 * FINGERPRINT_COORDINATES
INDEX_BITS = 40
MAX_INDEX = 2**INDEX_BITS - 1
MAX_NODE_NUMBER = 2 ** (63 - INDEX_BITS) - 1
MAX_CHECKED_LEAVES = 10_000
"""Most leaves that one verdict can rest on."""

LEAST_POOLED_LEAVES = 8
"""Fewer matching leaves than these are not judged by their pooled rms: a single leaf of an honest host may lie above the limit."""

DISTANCE_UNIT = 2**12
"""Coordinates and distances are integers in units of 1 / DISTANCE_UNIT."""
PROBABILITY_UNIT = 10**9
"""Probabilities are integers in units of 1 / PROBABILITY_UNIT."""

_SPRINT_TAG = b"pivot/poc/1"
_LEAF_TAG = b"\x00"
_INNER_TAG = b"\x01"
_ROOT_TAG = b"pivot/poc/tree/1"
_HASH_BYTES = 32


@dataclass(frozen=True)
class SprintPreset:
    """The shape of a sprint's transformer, and what a checker tolerates.

    A distance is the Euclidean distance of two fingerprints in units of 2**-12: four times the rms per
    coordinate, since there are 16 coordinates. `tolerance` and `rms_limit` are distances in that unit.
    """

    name: str
    dim: int
    heads: int
    layers: int
    ffn: int
    sequence: int
    tolerance: int
    """A leaf mismatches when its distance exceeds this."""
    rms_limit: int
    """The root of the mean squared distance of all matching leaves must not exceed this, where there are enough of them."""
    mismatch_probability: int
    """Chance that an honest leaf mismatches, in units of 1 / PROBABILITY_UNIT."""
    verdict_threshold: int
    """A host is refused when an honest one would do as badly with less chance than this (same unit)."""

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.dim % 8:
            raise ValueError("dim must be a multiple of 8 and give every head an even number of coordinates")

    @property
    def head_dim(self) -> int:
        """Coordinates per attention head."""
        return self.dim // self.heads

    def parameter_count(self) -> int:
        """Number of weights: four D x D and three D x ffn matrices per layer; norms have none."""
        return self.layers * (4 * self.dim**2 + 3 * self.dim * self.ffn)

    def flops_per_pass(self) -> int:
        """Floating-point operations of one nonce's matrix products (a multiply-add counts as two)."""
        attention = 4 * self.layers * self.sequence**2 * self.dim
        return 2 * self.sequence * self.parameter_count() + attention


_TOLERANCE = 32  # 2.0e-3 rms per coordinate; honest machines stay below 1.3e-3 at every size that was measured
_RMS_LIMIT = 18  # 1.1e-3; honest machines pool at 5.6e-4, careless ones at 6.9e-4
_MISMATCH_PROBABILITY = PROBABILITY_UNIT // 100_000
_VERDICT_THRESHOLD = PROBABILITY_UNIT // 1_000_000


def _preset(name: str, *, dim: int, heads: int, layers: int, ffn: int, sequence: int) -> SprintPreset:
    """Rounding errors do not grow with a model (docs/protocol/poc.md, section 6): all presets are judged alike."""
    return SprintPreset(
        name=name,
        dim=dim,
        heads=heads,
        layers=layers,
        ffn=ffn,
        sequence=sequence,
        tolerance=_TOLERANCE,
        rms_limit=_RMS_LIMIT,
        mismatch_probability=_MISMATCH_PROBABILITY,
        verdict_threshold=_VERDICT_THRESHOLD,
    )


_DEVNET = _preset("devnet", dim=64, heads=4, layers=8, ffn=256, sequence=16)
_SMALL = _preset("small", dim=1024, heads=16, layers=16, ffn=19_456, sequence=128)
_MAINNET = _preset("mainnet", dim=1792, heads=28, layers=64, ffn=49_152, sequence=256)
SPRINT_PRESETS = {preset.name: preset for preset in (_DEVNET, _SMALL, _MAINNET)}
"""By name. What `small` and `mainnet` tolerate follows from smaller models: no GPU has measured them at full size yet."""


# Seeds and nonces


def sprint_seed(chain_id: str, epoch: int, block_hash: bytes, randomness: bytes) -> bytes:
    """The seed of an epoch's sprint, 32 bytes.

    SHA-256 over: `pivot/poc/1`, the chain id as a 4-byte length and its UTF-8 bytes, the epoch as 8 bytes,
    the hash of the block at the start of the sprint (32 bytes), `randomness` (32 bytes). Integers are
    big-endian. Raises ValueError when a hash has another length or the epoch is negative.
    """
    _require_length("block_hash", block_hash, _HASH_BYTES)
    _require_length("randomness", randomness, _HASH_BYTES)
    if not 0 <= epoch < 2**63:
        raise ValueError(f"epoch {epoch} is out of range")
    name = chain_id.encode()
    material = _SPRINT_TAG + struct.pack(">I", len(name)) + name + struct.pack(">Q", epoch) + block_hash + randomness
    return hashlib.sha256(material).digest()


def host_seed(seed: bytes, host_address: str) -> bytes:
    """The seed of one host's inputs, 32 bytes: SHA-256 over the sprint seed and the address in UTF-8."""
    _require_length("sprint_seed", seed, SEED_BYTES)
    return hashlib.sha256(seed + host_address.encode()).digest()


def nonce_of(node_number: int, index: int) -> int:
    """The nonce that leaf `index` of a node is: node number * 2**40 + index, below 2**63."""
    if not 0 <= node_number <= MAX_NODE_NUMBER:
        raise ValueError(f"node number {node_number} is out of range")
    if not 0 <= index <= MAX_INDEX:
        raise ValueError(f"leaf index {index} is out of range")
    return (node_number << INDEX_BITS) + index


# The Merkle tree over leaves


def leaf_bytes(nonce: int, fingerprint: bytes) -> bytes:
    """What a leaf of the tree says: the nonce (8 bytes, big-endian) and its fingerprint (32 bytes)."""
    _require_length("fingerprint", fingerprint, FINGERPRINT_BYTES)
    if not 0 <= nonce < 2**63:
        raise ValueError(f"nonce {nonce} is out of range")
    return struct.pack(">Q", nonce) + fingerprint


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves, with their count bound into it.

    Leaf hash: SHA-256(0x00, leaf). Inner hash: SHA-256(0x01, left, right), split at the largest power of
    two below the count, as in RFC 9162. Root: SHA-256(`pivot/poc/tree/1`, count as 8 bytes, top hash);
    the top of an empty tree is empty.
    """
    return LeafTree(leaves).root()


def verify_merkle_proof(root: bytes, count: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `leaf` stands at `index` in the tree of `count` leaves with this root. Never raises on bad proofs."""
    if not 0 <= index < count < 2**63 or any(len(part) != _HASH_BYTES for part in proof):
        return False
    parts = iter(proof)
    top = _hash_leaf(leaf)
    position, last = index, count - 1
    while last > 0:
        if position % 2 == 1 or position < last:  # otherwise it has no neighbour and moves up as it is
            beside = next(parts, None)
            if beside is None:
                return False
            top = _hash_inner(beside, top) if position % 2 == 1 else _hash_inner(top, beside)
        position, last = position // 2, last // 2
    return next(parts, None) is None and _hash_root(count, top) == root


class LeafTree:
    """The tree of `merkle_root`, grown leaf by leaf.

    Keeps every complete inner node (64 bytes per leaf in all), so appending costs two hashes on average,
    and a root or a proof a logarithm of the count.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0]) // _HASH_BYTES

    def append(self, leaf: bytes) -> None:
        """Add one leaf at the end."""
        node = _hash_leaf(leaf)
        for level in self._levels:
            level.extend(node)
            if len(level) // _HASH_BYTES % 2:
                return
            node = _hash_inner(bytes(level[-2 * _HASH_BYTES : -_HASH_BYTES]), node)
        self._levels.append(bytearray(node))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves at the end, in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The root over the leaves so far."""
        return _hash_root(len(self), self._right_edge()[-1])

    def proof(self, index: int) -> list[bytes]:
        """The proof of leaf `index` against `root()`, lowest first. Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"leaf {index} of {len(self)}")
        proof = []
        position, last = index, len(self) - 1
        for level, edge in zip(self._levels, self._right_edge()[:-1], strict=True):
            beside = position ^ 1
            if beside < last:
                proof.append(bytes(level[beside * _HASH_BYTES : (beside + 1) * _HASH_BYTES]))
            elif beside == last:
                proof.append(edge)
            position, last = position // 2, last // 2
        return proof

    def _right_edge(self) -> list[bytes]:
        """The last node of each level, also where it is incomplete, then the top; b"" for the empty tree."""
        edge: list[bytes] = []
        partial = b""
        for level in self._levels:
            nodes = len(level) // _HASH_BYTES
            whole = bytes(level[-_HASH_BYTES:])
            edge.append(partial or whole)
            if nodes % 2:
                partial = _hash_inner(whole, partial) if partial else whole
        return [*edge, partial]


def _hash_leaf(leaf: bytes) -> bytes:
    return hashlib.sha256(_LEAF_TAG + leaf).digest()


def _hash_inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_INNER_TAG + left + right).digest()


def _hash_root(count: int, top: bytes) -> bytes:
    return hashlib.sha256(_ROOT_TAG + struct.pack(">Q", count) + top).digest()


# The verdict of a checker


def distance(a: bytes, b: bytes) -> int:
    """Euclidean distance of two fingerprints in units of 2**-12, rounded to the nearest integer.

    a, b: 16 little-endian int16 each. The rms difference per coordinate is a quarter of this.
    """
    _require_length("fingerprint", a, FINGERPRINT_BYTES)
    _require_length("fingerprint", b, FINGERPRINT_BYTES)
    pairs = zip(struct.unpack("<16h", a), struct.unpack("<16h", b), strict=True)
    return _rounded_root(sum((x - y) ** 2 for x, y in pairs))


@dataclass(frozen=True)
class Judgement:
    """What a checker found out about one host."""

    checked: int
    mismatched: int
    square_sum: int
    """Sum of the squared distances of the matching leaves."""
    valid: bool


def judge(preset: SprintPreset, distances: Iterable[int | None]) -> Judgement:
    """Count and judge the leaves that a host was asked for; None stands for a leaf that was not served."""
    checked = mismatched = square_sum = 0
    for value in distances:
        checked += 1
        if value is None or value > preset.tolerance:
            mismatched += 1
        else:
            square_sum += value**2
    return Judgement(checked, mismatched, square_sum, verdict(preset, checked, mismatched, square_sum))


def verdict(preset: SprintPreset, checked: int, mismatched: int, square_sum: int) -> bool:
    """Whether a host's work stands, from the leaves checked.

    square_sum: sum of squared distances of the `checked - mismatched` leaves within tolerance.
    Refused (False) when nothing was checked, when an honest host would show `mismatched` or more with a
    chance below the preset's threshold (one-sided binomial test, exact), or when the pooled rms of
    the matching leaves, LEAST_POOLED_LEAVES or more, is above the limit: work that is a little wrong everywhere.
    Leaves above the tolerance are left out of the pool, so that one broken leaf cannot condemn the others.
    """
    if not 0 <= mismatched <= checked <= MAX_CHECKED_LEAVES:
        raise ValueError(f"{mismatched} mismatches of {checked} leaves cannot be")
    if checked == 0:
        return False
    matching = checked - mismatched
    if matching >= LEAST_POOLED_LEAVES and square_sum > matching * preset.rms_limit**2:
        return False
    return not _rarer_than(preset.verdict_threshold, checked, mismatched, preset.mismatch_probability)


def _rarer_than(threshold: int, trials: int, at_least: int, probability: int) -> bool:
    """Whether P(X >= at_least) < threshold for X ~ Bin(trials, probability), exactly; both in PROBABILITY_UNIT.

    Everything is multiplied by PROBABILITY_UNIT ** trials. The terms of P(X < at_least) are taken off one
    by one; what is left only falls, so the first time that it is below the threshold decides.
    """
    complement = PROBABILITY_UNIT - probability
    whole: int = PROBABILITY_UNIT**trials
    limit = threshold * (whole // PROBABILITY_UNIT)
    term: int = complement**trials  # P(X = 0)
    left = whole
    for k in range(at_least):
        left -= term
        if left < limit:
            return True
        term = term * (trials - k) * probability // ((k + 1) * complement)  # P(X = k + 1); the division is exact
    return False


def _rounded_root(value: int) -> int:
    """The square root of a natural number, rounded to the nearest integer."""
    root = math.isqrt(value)
    return root + (value - root * root > root)


def _require_length(name: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise ValueError(f"{name} must be {length} bytes, not {len(value)}")
