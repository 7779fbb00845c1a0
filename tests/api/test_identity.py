"""The keys of an API node are made once and never lost."""

import stat
from pathlib import Path

import pytest

from pivot.api.identity import ACCOUNT_KEY_FILE, GATEWAY_KEY_FILE, DamagedKey, Identity

SECRET = "11" * 32


def test_keys_are_made_on_the_first_start_and_stay_the_same(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    first, second = Identity.load(home), Identity.load(home)
    assert first.address == second.address
    assert first.gateway.address == second.gateway.address
    assert first.gateway.address != first.address
    assert [path.name for path in sorted(home.iterdir())] == [ACCOUNT_KEY_FILE, GATEWAY_KEY_FILE]


def test_a_key_that_is_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / ACCOUNT_KEY_FILE).write_text(SECRET + "\n")
    assert Identity.load(tmp_path).account.secret_hex == SECRET


def test_a_host_may_have_several_account_keys_by_name(tmp_path: Path) -> None:
    first = Identity.load(tmp_path)
    named = Identity.load(tmp_path, "host-1")
    assert named.address != first.address
    assert named.gateway.address == first.gateway.address
    assert (tmp_path / "host-1.key").exists()
    assert Identity.load(tmp_path).address == first.address


def test_only_the_owner_may_read_the_keys(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Identity.load(home)
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["", "not hex", "11" * 31, "00" * 32, "11" * 33])
def test_a_damaged_key_is_refused_and_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / ACCOUNT_KEY_FILE
    path.write_text(text)
    with pytest.raises(DamagedKey, match=r"account\.key does not hold a key"):
        Identity.load(tmp_path)
    assert path.read_text() == text


def test_a_crash_while_a_key_was_made_is_survived(tmp_path: Path) -> None:
    (tmp_path / "account.partial").write_text("11")
    Identity.load(tmp_path)
    assert not (tmp_path / "account.partial").exists()
