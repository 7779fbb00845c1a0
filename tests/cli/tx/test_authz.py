"""Permissions from the command line: granted, used, taken back."""

import json
from pathlib import Path

from pivot.cli.tx.warm_key import permitted
from tests.chain.chain import key
from tests.cli.conftest import Pivot
from tests.cli.engine import FakeEngine
from tests.cli.tx.conftest import COINS

ALICE, BOB, CAROL = (key(name).address for name in ("alice", "bob", "carol"))
SEND = "/cosmos.bank.v1beta1.MsgSend"
LATER = "2030-01-31T00:00:00Z"


async def test_a_permission_is_granted_used_and_revoked(ask: Pivot, engine: FakeEngine, tmp_path: Path) -> None:
    grant = ("tx", "authz", "grant", "bob", "generic", "--msg-type", SEND, "--expiration", LATER, "--from", "alice")
    granted = await ask(*grant, "--yes")
    assert granted.code == 0, granted.err
    listed = await ask("query", "authz", "grants", "alice", "bob", "--json")
    assert listed.json["grants"][0]["authorization"]["msg"] == SEND
    assert listed.json["grants"][0]["expiration"] == LATER

    inner = await ask("tx", "bank", "send", "alice", "carol", "50ngonka", "--generate-only")
    (tmp_path / "inner.json").write_text(inner.out)
    used = await ask("tx", "authz", "exec", str(tmp_path / "inner.json"), "--from", "bob", "--yes")
    assert used.code == 0, used.err
    assert engine.chain.balance(CAROL) == COINS + 50
    message = json.dumps(inner.json["body"]["messages"][0])
    again = await ask("tx", "authz", "exec", message, "--from", "bob", "--yes")
    assert again.code == 0, again.err
    assert engine.chain.balance(CAROL) == COINS + 100

    revoked = await ask("tx", "authz", "revoke", "bob", SEND, "--from", "alice", "--yes")
    assert revoked.code == 0, revoked.err
    refused = await ask("tx", "authz", "exec", str(tmp_path / "inner.json"), "--from", "bob", "--yes")
    assert refused.code == 1


async def test_a_grant_may_be_given_by_its_fields(ask: Pivot) -> None:
    fields = {"authorization": {"@type": "/cosmos.authz.v1beta1.GenericAuthorization", "msg": SEND}}
    told = await ask("tx", "authz", "grant", "bob", "--grant", json.dumps(fields), "--from", "alice", "--yes")
    assert told.code == 0, told.err
    wrong = await ask("tx", "authz", "grant", "bob", "send", "--msg-type", SEND, "--from", "alice")
    assert (wrong.code, "generic authorizations" in wrong.err) == (2, True)


async def test_what_is_no_file_of_messages_is_told(ask: Pivot, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"body": {}}')
    for argument in (str(tmp_path / "none.json"), str(tmp_path / "other.json"), "{"):
        told = await ask("tx", "authz", "exec", argument, "--from", "bob")
        assert told.code == 2


async def test_an_operational_key_gets_a_hosts_duties_and_not_its_coins(ask: Pivot) -> None:
    told = await ask("tx", "inference", "grant-ml-ops-permissions", "bob", "--from", "alice", "--yes")
    assert told.code == 0, told.err
    listed = await ask("query", "authz", "grants", ALICE, BOB, "--page-limit", "100", "--json")
    granted = {each["authorization"]["msg"] for each in listed.json["grants"]}
    assert granted == set(permitted())
    assert {"/inference.inference.MsgStartInference", "/inference.inference.MsgClaimRewards"} <= granted
    assert all(url.startswith("/inference.inference.") for url in granted)
    assert not granted & {"/inference.inference.MsgUpdateParams", "/inference.inference.MsgRegisterModel"}
