"""How commands speak: data on stdout, sentences on stderr, 0, 1 or 2 at the end."""

import json
import sys
from pathlib import Path

import pytest

from pivot.cli import main
from pivot.devnet.plan import CONTRACT_FILE, new_plan


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pivot", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("command", ["status", "down", "logs"])
def test_a_folder_without_a_network_is_told_and_fails(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "devnet", command, "--home", str(tmp_path)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert str(tmp_path) in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("devnet", "up", "--preset", "nonesuch"),
        ("devnet", "up", "--hosts", "many"),
        ("devnet", "nonesuch"),
        ("nonesuch",),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    assert "Usage: pivot" in capsys.readouterr().err


def test_too_many_hosts_are_refused_with_the_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "devnet", "up", "--home", str(tmp_path), "--hosts", "17") == 1
    assert "1 to 16 hosts" in capsys.readouterr().err


def test_a_damaged_plan_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text("{")
    assert run(monkeypatch, "devnet", "up", "--home", str(tmp_path)) == 1
    assert "damaged" in capsys.readouterr().err


def test_the_status_of_a_network_that_is_down_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    new_plan(hosts=1, ml_nodes=0, preset="test").save(tmp_path)
    (tmp_path / CONTRACT_FILE).write_text("{}")
    assert run(monkeypatch, "devnet", "status", "--home", str(tmp_path), "--json") == 1
    assert "no network is up" in capsys.readouterr().err


def test_logs_show_the_last_lines_of_each_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("host0-api", "host0-engine"):
        (tmp_path / "logs" / f"{name}.log").write_text("one\ntwo\nthree\n")
    assert run(monkeypatch, "devnet", "logs", "--home", str(tmp_path), "--lines", "2", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"host0-api": ["two", "three"], "host0-engine": ["two", "three"]}
    assert run(monkeypatch, "devnet", "logs", "--home", str(tmp_path), "--name", "api", "--lines", "1") == 0
    assert capsys.readouterr().out == "== host0-api\nthree\n"
    assert run(monkeypatch, "devnet", "logs", "--home", str(tmp_path), "--name", "nobody") == 1
    assert "nobody" in capsys.readouterr().err


def test_a_node_without_a_genesis_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "node", "run", "--home", str(tmp_path)) == 1
    assert "genesis.json is missing" in capsys.readouterr().err
