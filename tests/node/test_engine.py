"""Finding the engine: the right version only, and a release only against its pinned checksum."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from pivot.node import engine


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing is installed."""
    for name, value in {"PATH": "bin", "XDG_CACHE_HOME": "cache", "GOBIN": "go"}.items():
        (tmp_path / value).mkdir()
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.delenv(engine.CHECKSUM_VARIABLE, raising=False)
    return tmp_path


def put_engine(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_the_engine_on_the_path_is_taken(empty_machine: Path) -> None:
    binary = put_engine(empty_machine / "bin" / "cometbft", engine.ENGINE_VERSION)
    assert engine.find_engine() == binary


def test_another_version_on_the_path_is_passed_over_for_the_cached_one(empty_machine: Path) -> None:
    put_engine(empty_machine / "bin" / "cometbft", "0.37.2")
    binary = put_engine(engine.cached_engine(), engine.ENGINE_VERSION)
    assert engine.find_engine() == binary


def test_a_machine_without_engine_and_go_gets_a_sentence(empty_machine: Path) -> None:
    with pytest.raises(engine.EngineMissing, match="Install Go"):
        engine.find_engine()


def release(tmp_path: Path) -> tuple[str, str]:
    """A release archive as a file URL, and its checksum."""
    content = b"#!/bin/sh\necho " + engine.ENGINE_VERSION.encode() + b"\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("cometbft")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    path = tmp_path / "release.tar.gz"
    path.write_bytes(buffer.getvalue())
    return path.as_uri(), hashlib.sha256(buffer.getvalue()).hexdigest()


def test_a_release_with_the_pinned_checksum_is_installed(empty_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, checksum = release(empty_machine)
    monkeypatch.setattr(engine, "RELEASE_URL", url)
    monkeypatch.setenv(engine.CHECKSUM_VARIABLE, checksum)
    assert engine.find_engine() == engine.cached_engine()
    assert engine.cached_engine().stat().st_mode & 0o111


def test_a_release_with_another_checksum_is_refused(empty_machine: Path) -> None:
    url, _ = release(empty_machine)
    with pytest.raises(engine.EngineMissing, match="not the release that was pinned"):
        engine.fetch_release(url, "00" * 32, empty_machine / "target")
    assert not (empty_machine / "target").exists()
