"""Finding the signer: the right version only, built once, and a sentence where nothing can build it."""

from pathlib import Path

import pytest

from pivot.node import signer
from pivot.node.errors import SignerMissing

CARGO = """#!/bin/sh
while [ "$1" != --root ]; do shift; done
mkdir "$2/bin" && printf '#!/bin/sh\\necho {version}\\n' > "$2/bin/tmkms" && chmod +x "$2/bin/tmkms"
"""


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a shell and nothing else."""
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "mkdir", "chmod"):
        (tmp_path / "bin" / tool).symlink_to(f"/bin/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def put(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def test_the_signer_on_the_path_is_taken(empty_machine: Path) -> None:
    binary = put(empty_machine / "bin" / "tmkms", f"#!/bin/sh\necho {signer.SIGNER_VERSION}\n")
    assert signer.find_signer() == binary


def test_another_version_on_the_path_is_passed_over_for_the_cached_one(empty_machine: Path) -> None:
    put(empty_machine / "bin" / "tmkms", "#!/bin/sh\necho 0.12.2\n")
    binary = put(signer.cached_signer(), f"#!/bin/sh\necho {signer.SIGNER_VERSION}\n")
    assert signer.find_signer() == binary


def test_a_machine_without_signer_and_cargo_gets_a_sentence(empty_machine: Path) -> None:
    put(empty_machine / "bin" / "tmkms", "#!/bin/sh\nexit 1\n")
    with pytest.raises(SignerMissing, match="Install Rust"):
        signer.find_signer()


def test_cargo_builds_the_signer_once(empty_machine: Path) -> None:
    cargo = put(empty_machine / "bin" / "cargo", CARGO.format(version=signer.SIGNER_VERSION))
    told: list[str] = []
    assert signer.find_signer(told.append) == signer.cached_signer()
    assert "Building" in told[0]
    assert list(signer.cached_signer().parent.iterdir()) == [signer.cached_signer()]
    cargo.unlink()
    assert signer.find_signer() == signer.cached_signer()


def test_a_build_that_fails_is_told_in_cargos_words(empty_machine: Path) -> None:
    put(empty_machine / "bin" / "cargo", "#!/bin/sh\necho no such crate >&2\nexit 101\n")
    with pytest.raises(SignerMissing, match="no such crate"):
        signer.find_signer()
    assert not signer.cached_signer().exists()
