"""Proofs, as a checker outside sees them."""

import random
from pathlib import Path

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.ics23.v1.proofs_pb2 import CommitmentProof
from google.protobuf.message import DecodeError
from tendermint.crypto.proof_pb2 import ProofOps

from pivot.chain.store.database import Database
from pivot.chain.store.encoding import EMPTY_ROOT
from pivot.chain.store.errors import UnknownStore
from pivot.chain.store.memory import MemoryDatabase
from tests.chain.store import ics23
from tests.chain.store.rows import apply, random_changes, random_key

STORES = ("acc", "bank", "empty", "inference")
FILLED = ("acc", "bank", "inference")


@pytest.fixture(params=["LMDB", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database | MemoryDatabase:
    return Database.open(tmp_path, STORES) if request.param == "LMDB" else MemoryDatabase(STORES)


def filled(database: Database | MemoryDatabase, seed: int) -> dict[str, dict[bytes, bytes]]:
    source = random.Random(seed)
    rows: dict[str, dict[bytes, bytes]] = {name: {} for name in STORES}
    for height in range(1, 6):
        changed = {name: random_changes(source, 40) for name in FILLED}
        database.stage(height, changed)
        database.commit()
        for name in FILLED:
            apply(rows[name], changed[name])
    return rows


@pytest.mark.parametrize("seed", range(2))
def test_presence_and_absence_of_any_key_can_be_proved(database: Database | MemoryDatabase, seed: int) -> None:
    rows = filled(database, seed)
    source = random.Random(seed)
    for store in FILLED:
        around = [key[:-1] or b"a" for key in rows[store]] + [key + b"\x00" for key in rows[store]]
        asked = [*source.sample([*rows[store], *around], 60), *(random_key(source) for _ in range(20))]
        for key in [*asked, min(rows[store]), max(rows[store]), b"\x00", b"\xff" * 8]:
            value, proof = database.prove(store, key)
            assert value == rows[store].get(key)
            ics23.verify(proof, database.app_hash, store, key, value)


def test_a_store_with_one_key_proves_it_and_its_neighbours_absence(database: Database | MemoryDatabase) -> None:
    database.stage(1, {"bank": {b"m": b"1"}})
    database.commit()
    for key in (b"a", b"m", b"z"):
        value, proof = database.prove("bank", key)
        ics23.verify(proof, database.app_hash, "bank", key, value)


def test_an_empty_store_shows_its_root_alone(database: Database | MemoryDatabase) -> None:
    filled(database, 1)
    value, proof = database.prove("empty", b"k")
    assert value is None
    assert [op.type for op in proof.ops] == ["ics23:simple"]
    outer = CommitmentProof.FromString(proof.ops[0].data).exist
    ics23.check_existence(ics23.SIMPLE, outer, database.app_hash, b"empty", EMPTY_ROOT)


def test_both_databases_prove_with_the_same_bytes(tmp_path: Path) -> None:
    memory = MemoryDatabase(STORES)
    with Database.open(tmp_path, STORES) as disk:
        rows = filled(disk, 7)
        filled(memory, 7)
        for store in FILLED:
            for key in [*rows[store], b"\x00\x00", b"absent", b"\xff\xff\xff\xff\xff\xff\xff"]:
                assert disk.prove(store, key) == memory.prove(store, key)


def test_a_proof_for_another_value_key_store_or_root_is_refused(database: Database | MemoryDatabase) -> None:
    rows = filled(database, 3)
    key, value = next(iter(rows["bank"].items()))
    _, proof = database.prove("bank", key)
    ics23.verify(proof, database.app_hash, "bank", key, value)
    for store, other_key, other_value, root in (
        ("bank", key, value + b"!", database.app_hash),
        ("bank", key + b"!", value, database.app_hash),
        ("bank", key, None, database.app_hash),
        ("acc", key, value, database.app_hash),
        ("bank", key, value, bytes(32)),
    ):
        with pytest.raises(ics23.Refused):
            ics23.verify(proof, root, store, other_key, other_value)


def test_a_key_that_is_there_cannot_be_proved_absent_by_other_neighbours(database: Database | MemoryDatabase) -> None:
    rows = filled(database, 4)
    ordered = sorted(rows["bank"])
    before, hidden, behind = ordered[3:6]
    forged = CommitmentProof()
    forged.nonexist.key = hidden
    for side, key in (("left", before), ("right", behind)):
        exist = CommitmentProof.FromString(database.prove("bank", key)[1].ops[0].data).exist
        getattr(forged.nonexist, side).CopyFrom(exist)
    _, proof = database.prove("bank", hidden)
    proof.ops[0].data = forged.SerializeToString()
    with pytest.raises(ics23.Refused, match="room between"):
        ics23.verify(proof, database.app_hash, "bank", hidden, None)


def test_any_changed_bit_breaks_a_proof(database: Database | MemoryDatabase) -> None:
    rows = filled(database, 5)
    key, value = sorted(rows["inference"].items())[7]
    _, proof = database.prove("inference", key)
    source = random.Random(5)
    for _ in range(150):
        broken = ProofOps.FromString(proof.SerializeToString())
        op = source.choice(broken.ops)
        data = bytearray(op.data)
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        op.data = bytes(data)
        assert not accepted(broken, database.app_hash, key, value) or is_same(broken, proof)


def accepted(proof: ProofOps, root: bytes, key: bytes, value: bytes) -> bool:
    try:
        ics23.verify(proof, root, "inference", key, value)
    except (ics23.Refused, DecodeError):
        return False
    return True


def is_same(one: ProofOps, other: ProofOps) -> bool:
    """Whether two proofs say the same, however they are written."""
    return [CommitmentProof.FromString(op.data) for op in one.ops] == [
        CommitmentProof.FromString(op.data) for op in other.ops
    ]


def test_an_unknown_store_has_no_proofs(database: Database | MemoryDatabase) -> None:
    with pytest.raises(UnknownStore):
        database.prove("nowhere", b"k")
