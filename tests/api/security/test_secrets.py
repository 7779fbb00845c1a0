"""Keys and tokens are in files that their owner alone reads, whole or not there at all, and nowhere else."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from pivot.api.identity import Identity
from pivot.api.poc.callback import TOKEN_FILE, callback_token
from pivot.api.private_files import write_private
from pivot.api.settings import ApiSettings, HttpSettings
from tests.api.http.test_admin import call, one
from tests.api.poc.host import Host

__all__ = ["one"]


def test_a2_a_crash_while_a_file_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "account.key"
    write_private(path, "before")

    def crash(_: int) -> None:
        raise OSError("no more power")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no more power"):
        write_private(path, "after")
    monkeypatch.undo()
    assert path.read_text() == "before\n"
    write_private(path, "after")
    assert path.read_text() == "after\n"


def test_a_item3_keys_and_tokens_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    settings = ApiSettings(home=tmp_path / "home")
    Identity.load(settings.home)
    callback_token(settings)
    assert {path.name for path in settings.home.iterdir()} == {"account.key", "gateway.key", TOKEN_FILE}
    for path in settings.home.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_item3_a_refusal_does_not_echo_what_may_be_a_secret(admin: str) -> None:
    secret = "sk-a-secret-of-this-host-alone"
    bodies: list[Any] = [
        {"name": 7, "key": secret},
        {"name": "n", "key": secret, "budget": secret},
        {"id": "", "auth_token": secret},
        {"auth_token": secret},
        [secret],
        secret,
    ]
    for path in ("/admin/v1/keys/api", "/admin/v1/nodes"):
        for body in bodies:
            status, refusal = await call("POST", admin + path, body)
            assert status == 400
            assert secret not in str(refusal)


async def test_a_item3_a_listed_key_is_told_without_itself(admin: str) -> None:
    _, issued = await call("POST", f"{admin}/admin/v1/keys/api", {"name": "developer"})
    _, listed = await call("GET", f"{admin}/admin/v1/keys/api")
    assert [key["name"] for key in listed] == ["developer"]
    assert issued["key"] not in str(listed)


def test_the_call_back_token_of_a_node_is_not_to_be_guessed(tmp_path: Path, one: Host) -> None:
    made = callback_token(ApiSettings(home=tmp_path / "other"))
    assert len(made) >= 32
    assert made != callback_token(one.settings)
    assert callback_token(ApiSettings(home=tmp_path, api=HttpSettings(callback_token="chosen"))) == "chosen"
