"""A build that does not come to an end is told in its own words."""

from pathlib import Path

import pytest

from pivot.node.errors import EngineMissing, SignerMissing
from pivot.node.pinned_tool import build, installed


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """A builder that says its variable and fails, or takes long."""
    path = tmp_path / "make"
    path.write_text('#!/bin/sh\n[ "$1" = wait ] && exec sleep 60\necho "no $WANTED" >&2\nexit 1\n')
    path.chmod(0o755)
    return path


def test_a_build_that_fails_is_told_in_its_own_words(tool: Path) -> None:
    with pytest.raises(EngineMissing, match=r"^make all failed:\nno compiler$"):
        build([str(tool), "all"], {"WANTED": "compiler"}, 20, EngineMissing)


def test_a_build_that_takes_too_long_is_ended(tool: Path) -> None:
    with pytest.raises(SignerMissing, match=r"^make wait took longer than 0 s$"):
        build([str(tool), "wait"], {}, 0.2, SignerMissing)


def test_a_program_that_does_not_tell_its_version_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    silent, right = tmp_path / "silent", tmp_path / "right"
    for path, script in ((silent, "exit 1"), (right, "echo v1.2.3+abc")):
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    assert installed("tool", "1.2.3", silent, tmp_path / "absent") is None
    assert installed("tool", "1.2.3", silent, right) == right
