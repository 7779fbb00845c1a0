"""Leaves survive the end of the node, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pivot.mlnode.poc import journal as journal_module
from pivot.mlnode.poc.journal import Journal, journal_name
from tests.mlnode.fakes import sprint

INIT = sprint(first_index=5)


def leaves(*indices: int) -> bytes:
    return b"".join(index.to_bytes(32, "little") for index in indices)


def numbers(content: bytes) -> list[int]:
    return [int.from_bytes(content[i : i + 32], "little") for i in range(0, len(content), 32)]


def held(journal: Journal) -> tuple[int, list[int]]:
    return journal.first, numbers(journal.read(journal.first, 10**6))


def written(folder: Path) -> Path:
    """A journal of leaves 5, 6 and 7, whose node is gone."""
    journal = Journal(folder, INIT)
    journal.append(leaves(5))
    journal.append(leaves(6, 7))
    journal.close()
    return folder / journal.name


def test_leaves_are_there_again_after_a_restart(tmp_path: Path) -> None:
    written(tmp_path / "a" / "b")
    journal = Journal(tmp_path / "a" / "b", INIT)
    assert held(journal) == (5, [5, 6, 7])
    journal.append(leaves(8))
    journal.close()
    again = Journal(tmp_path / "a" / "b", sprint(first_index=7))
    again.go_on_at(7)
    assert held(again) == (5, [5, 6, 7, 8])
    assert again.end == 9
    assert numbers(again.read(7, 1)) == [7]
    again.close()


@pytest.mark.parametrize("index", [4, 9])
def test_where_there_is_a_gap_it_begins_anew(tmp_path: Path, index: int) -> None:
    written(tmp_path)
    journal = Journal(tmp_path, INIT)
    journal.go_on_at(index)
    assert held(journal) == (index, [])
    journal.append(leaves(index))
    journal.close()
    again = Journal(tmp_path, INIT)
    assert held(again) == (index, [index])
    again.close()


@pytest.mark.parametrize("lost", range(1, 73))
def test_a_record_that_is_not_whole_is_cut_off(tmp_path: Path, lost: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-lost])
    journal = Journal(tmp_path, INIT)
    assert held(journal) == (5, [5])
    journal.append(leaves(6))
    journal.close()
    again = Journal(tmp_path, INIT)
    assert held(again) == (5, [5, 6])
    again.close()


@pytest.mark.parametrize("place", range(0, 16 + 40 + 72, 7))
def test_a_byte_that_has_changed_ends_what_is_believed(tmp_path: Path, place: int) -> None:
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)
    journal = Journal(tmp_path, INIT)
    kept = [] if place < 56 else [5]
    assert held(journal) == (5, kept)
    journal.close()


@pytest.mark.parametrize("content", [b"", b"\x00" * 8, b"\xff" * 100, b"x" * 7])
def test_anything_else_is_no_journal(tmp_path: Path, content: bytes) -> None:
    (tmp_path / journal_name(INIT)).write_bytes(content)
    journal = Journal(tmp_path, INIT)
    journal.append(leaves(5))
    journal.close()
    again = Journal(tmp_path, INIT)
    assert held(again) == (5, [5])
    again.close()


def test_each_sprint_host_and_node_has_its_own_and_old_sprints_go(tmp_path: Path) -> None:
    written(tmp_path)
    neighbour = Journal(tmp_path, sprint(node_id=4))
    neighbour.close()
    assert held(neighbour) == (0, [])
    assert len(list(tmp_path.iterdir())) == 2
    assert journal_name(sprint(preset="small")) != journal_name(INIT)
    later = sprint(sprint_seed="11" * 32)
    Journal(tmp_path, later).close()
    assert [path.name for path in tmp_path.iterdir()] == [journal_name(later)]


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_LEAVES", 3)
    written(tmp_path)
    journal = Journal(tmp_path, INIT)
    journal.let_go(7)
    assert held(journal) == (5, [5, 6, 7])
    journal.append(leaves(8))
    journal.let_go(7)
    assert held(journal) == (7, [7, 8])
    journal.close()
    again = Journal(tmp_path, INIT)
    assert held(again) == (7, [7, 8])
    again.close()


def test_a_crash_while_it_is_written_anew_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    journal = Journal(tmp_path, INIT)

    def crash(*_: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(Path, "replace", crash)
    journal.go_on_at(100)
    assert journal.error == "leaves are kept in memory alone: gone"
    again = Journal(tmp_path, INIT)
    assert held(again) == (5, [5, 6, 7])
    again.close()


def test_without_a_folder_it_is_in_memory() -> None:
    journal = Journal(None, INIT)
    journal.append(leaves(5, 6))
    journal.go_on_at(6)
    assert (held(journal), journal.error) == ((5, [5, 6]), None)
    journal.close()
    assert held(Journal(None, INIT)) == (5, [])


def test_without_a_disk_it_goes_on_in_memory_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file", INIT)
    journal.append(leaves(5))
    journal.go_on_at(6)
    assert held(journal) == (5, [5])
    assert str(journal.error).startswith("leaves are kept in memory alone: ")


@pytest.mark.parametrize("written_bytes", [None, 3])
def test_a_full_disk_loses_nothing_that_was_there(tmp_path: Path, written_bytes: int | None) -> None:
    class FullDisk:
        def write(self, _: bytes) -> int:
            if written_bytes is None:
                raise OSError("no space left")
            return written_bytes

        def close(self) -> None:
            pass

    journal = Journal(tmp_path, INIT)
    journal.append(leaves(5))
    journal.close()
    journal._file = FullDisk()  # type: ignore[assignment]
    journal.append(leaves(6))
    journal.append(leaves(7))
    assert held(journal) == (5, [5, 6, 7])
    assert journal.error
    again = Journal(tmp_path, INIT)
    assert held(again) == (5, [5])
    again.close()
