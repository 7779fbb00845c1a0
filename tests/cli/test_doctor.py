"""`pivot doctor`: one line per finding, exit code 1 when something is wrong."""

from pathlib import Path

import pytest

from tests.cli.conftest import Pivot


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host none of whose ports is taken."""
    monkeypatch.setenv("DAPI_HOME", str(tmp_path))
    monkeypatch.setenv("DAPI_CHAIN_NODE__URL", "http://127.0.0.1:1")
    for number, name in enumerate(("PUBLIC", "ML", "ADMIN"), start=2):
        monkeypatch.setenv(f"DAPI_API__{name}_SERVER_PORT", str(number))
    monkeypatch.setenv("DAPI_API__PUBLIC_URL", "http://127.0.0.1:2")
    monkeypatch.setenv("DAPI_API__ALLOW_PRIVATE_URLS", "true")
    monkeypatch.setenv("MLNODE_MANAGEMENT_PORT", "5")
    monkeypatch.setenv("MLNODE_INFERENCE_PORT", "6")
    monkeypatch.delenv("API_CONFIG_PATH", raising=False)


async def test_before_the_start_nothing_is_wrong(pivot: Pivot) -> None:
    told = await pivot("doctor", "--before-start")
    assert (told.code, told.err) == (0, "")
    assert "ok       port 4: free for the Admin API" in told.out
    told = await pivot("doctor", "--ml-node", "--before-start", "--json")
    assert told.code == 0
    assert {"check": "port 5", "state": "ok", "found": "free for the ML node's management", "remedy": ""} in told.json


async def test_a_host_that_should_run_and_does_not_fails(pivot: Pivot) -> None:
    told = await pivot("doctor")
    assert told.code == 1
    assert "wrong    port 4: nothing listens for the Admin API at 127.0.0.1:4 → start the network node" in told.out
    assert told.err.endswith(" things are wrong.\n")
    told = await pivot("doctor", "--ml-node", "--model", "Qwen/Nonesuch", "--json")
    assert told.code == 1
    assert {finding["check"] for finding in told.json if finding["state"] == "wrong"} == {"models", "port 5"}


async def test_settings_that_cannot_be_read_are_wrong_usage(pivot: Pivot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAPI_API__ADMIN_SERVER_PORT", "many")
    told = await pivot("doctor")
    assert (told.code, told.out, "DAPI_API__ADMIN_SERVER_PORT" in told.err) == (2, "", True)
    monkeypatch.setenv("MLNODE_MANAGEMENT_PORT", "many")
    told = await pivot("doctor", "--ml-node")
    assert (told.code, told.out, told.err.startswith("MLNODE_MANAGEMENT_PORT: ")) == (2, "", True)
