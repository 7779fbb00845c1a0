"""What is done through the admin port is recorded: who, what, when, how it ended; and no secret."""

import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from pivot.api import admin_actions
from pivot.api.admin_actions import AdminAction, AdminActionLog, shown
from pivot.api.http.admin import admin_app
from tests.api.http.test_admin import call, one
from tests.api.poc.host import Host
from tests.api.serving import serving

__all__ = ["one"]

NODE = {
    "id": "node1",
    "host": "127.0.0.1",
    "inference_port": 1,
    "poc_port": 1,
    "max_concurrent": 1,
    "models": {},
    "auth_token": "secret-of-the-node",
}


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


async def test_who_did_what_and_when_stands_in_the_nodes_home_without_a_secret(one: Host) -> None:
    one.settings.api.admin_token = "secret-of-the-port"
    path = one.settings.home / admin_actions.FILE_NAME
    async with serving(admin_app(one.settings, one.identity, one.chain, one.fleet)) as url:
        bearer = {"Authorization": "Bearer secret-of-the-port"}
        await call("GET", f"{url}/admin/v1/nodes", **bearer)
        await call("DELETE", f"{url}/admin/v1/nodes/node1", Authorization="Bearer wrong")
        assert lines(path) == []
        refused, _ = await call("POST", f"{url}/admin/v1/nodes", NODE, **bearer)
        await call("POST", f"{url}/admin/v1/nodes/batch", [{"id": "a"}, 7, {"id": "b"}], **bearer)
        await call("DELETE", f"{url}/admin/v1/nodes/node1", **bearer)
    added, batch, removed = lines(path)
    assert datetime.fromisoformat(added.pop("at")).tzinfo is not None
    assert added == {
        "peer": "127.0.0.1",
        "credential": "token",
        "method": "POST",
        "path": "/admin/v1/nodes",
        "status": refused,
        "about": [{"id": "node1"}],
    }
    assert (batch["status"], batch["about"]) == (400, [{"id": "a"}, {"id": "b"}])
    assert (removed["method"], removed["path"], removed["status"]) == ("DELETE", "/admin/v1/nodes/node1", 200)
    assert b"secret" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_files_are_bounded_in_size_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_actions, "MAX_FILE_BYTES", 1_000)
    actions = AdminActionLog(tmp_path, lambda: 0.0)
    for number in range(60):
        await actions.write(AdminAction("127.0.0.1", "token", "DELETE", f"/admin/v1/nodes/{number}", 200))
    files = [actions.path, *(tmp_path / f"{admin_actions.FILE_NAME}.{place}" for place in range(1, 9))]
    sizes = [path.stat().st_size for path in files if path.exists()]
    assert len(sizes) == 1 + admin_actions.KEPT_FILES
    assert max(sizes) <= 1_000
    kept = [line["path"] for path in reversed(files) for line in lines(path)]
    assert kept == [f"/admin/v1/nodes/{number}" for number in range(60 - len(kept), 60)]


async def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("no folder")
    await AdminActionLog(home).write(AdminAction("127.0.0.1", "token", "DELETE", "/", 200))
    assert home.read_text() == "no folder"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"name": "n" * 999, "key": "sk-secret", "budget": 5}, [{"name": "n" * 200, "budget": 5}]),
        ({"id": {"key": "sk-secret"}}, []),
        ([{"id": str(number)} for number in range(99)], [{"id": str(number)} for number in range(20)]),
        ("text", []),
        (None, []),
    ],
)
def test_only_fields_that_hold_no_secret_are_shown(body: Any, told: Any) -> None:
    assert shown(body) == told
