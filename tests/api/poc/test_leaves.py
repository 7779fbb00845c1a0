from pathlib import Path

import pytest

from pivot.api.poc.leaves import LeafFiles, LeavesOutOfOrder
from pivot.protocol.sprint import FINGERPRINT_BYTES, leaf_bytes, merkle_root, nonce_of


def content(first: int, count: int) -> bytes:
    return b"".join(index.to_bytes(FINGERPRINT_BYTES, "big") for index in range(first, first + count))


@pytest.fixture
def files(tmp_path: Path) -> LeafFiles:
    return LeafFiles(tmp_path / "poc")


def test_leaves_are_appended_and_survive_a_restart(files: LeafFiles, tmp_path: Path) -> None:
    assert files.count(1, 7) == 0
    files.append(1, 7, 0, content(0, 3))
    files.append(1, 7, 3, content(3, 2))
    again = LeafFiles(tmp_path / "poc")
    assert again.count(1, 7) == 5
    assert again.read(1, 7, 1, 3) == content(1, 3)
    assert again.node_numbers(1) == [7]
    assert again.node_numbers(2) == []


def test_a_repeated_batch_changes_nothing(files: LeafFiles) -> None:
    files.append(1, 7, 0, content(0, 4))
    files.append(1, 7, 0, content(0, 4))
    files.append(1, 7, 2, content(2, 2))
    assert files.count(1, 7) == 4


def test_what_overlaps_adds_only_what_is_new(files: LeafFiles) -> None:
    files.append(1, 7, 0, content(0, 4))
    files.append(1, 7, 2, content(2, 5))
    assert files.read(1, 7, 0, 10) == content(0, 7)


def test_gaps_and_contradictions_are_refused(files: LeafFiles) -> None:
    files.append(1, 7, 0, content(0, 4))
    with pytest.raises(LeavesOutOfOrder, match="gap"):
        files.append(1, 7, 5, content(5, 1))
    with pytest.raises(LeavesOutOfOrder, match="differ"):
        files.append(1, 7, 2, content(9, 4))
    assert files.read(1, 7, 0, 10) == content(0, 4)


def test_half_a_leaf_of_a_broken_write_is_written_over(files: LeafFiles, tmp_path: Path) -> None:
    files.append(1, 7, 0, content(0, 2))
    path = tmp_path / "poc" / "1" / "7.leaves"
    path.write_bytes(path.read_bytes() + b"half a leaf")
    again = LeafFiles(tmp_path / "poc")
    assert again.count(1, 7) == 2
    again.append(1, 7, 2, content(2, 1))
    assert path.read_bytes() == content(0, 3)


def test_the_tree_is_over_the_first_leaves_with_their_nonces(files: LeafFiles) -> None:
    files.append(1, 7, 0, content(0, 9))
    leaves = [leaf_bytes(nonce_of(7, index), content(index, 1)) for index in range(5)]
    assert files.tree(1, 7, 5).root() == merkle_root(leaves)


def test_epochs_are_forgotten_after_the_one_after_next(files: LeafFiles, tmp_path: Path) -> None:
    for epoch in (1, 2, 3, 4):
        files.append(epoch, 7, 0, content(0, 1))
    (tmp_path / "poc" / "readme").touch()
    files.secure(4)
    files.prune(4)
    assert [files.count(epoch, 7) for epoch in (1, 2, 3, 4)] == [0, 1, 1, 1]
