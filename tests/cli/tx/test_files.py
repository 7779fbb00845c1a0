"""Transactions in files: who may sign, who has signed, what is no transaction."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cosmos.tx.v1beta1.tx_pb2 import Tx, TxBody
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.registry import MESSAGES
from pivot.cli.output import CommandFailed
from pivot.cli.tx.draft import decoded, document, encoded, read_transaction
from tests.chain.chain import CHAIN_ID, key
from tests.cli.conftest import Pivot
from tests.cli.engine import FakeEngine
from tests.cli.tx.conftest import COINS
from tests.vectors import load_vectors

BOB = key("bob").address
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in load_vectors("transactions.json")["transactions"]
    if all(MESSAGES.find(url) for url in vector["messages"])
]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["tx_hash"][:8])
async def test_published_transactions_are_decoded_and_encoded_again(
    vector: dict[str, Any], pivot: Pivot, tmp_path: Path
) -> None:
    shown = await pivot("tx", "decode", "--hex", vector["tx_raw_hex"], "--json")
    assert shown.code == 0, shown.err
    assert [message["@type"] for message in shown.json["body"]["messages"]] == vector["messages"]
    (tmp_path / "tx.json").write_text(shown.out)
    again = await pivot("tx", "encode", str(tmp_path / "tx.json"), "--json")
    assert base64.b64decode(again.json["tx"]).hex() == vector["tx_raw_hex"]
    assert again.json["txhash"] == vector["tx_hash"]


async def test_a_published_transaction_is_signed_to_the_same_bytes(pivot: Pivot, home: Path, tmp_path: Path) -> None:
    vector = VECTORS[0]
    imported = await pivot("keys", "import-hex", "signer", stdin=vector["private_key_hex"])
    assert imported.code == 0, imported.err
    unsigned = (await pivot("tx", "decode", "--hex", vector["tx_raw_hex"], "--json")).json
    unsigned["signatures"] = []
    unsigned["auth_info"]["signer_infos"] = []
    (tmp_path / "tx.json").write_text(json.dumps(unsigned))
    place = ("--account-number", str(vector["account_number"]), "--sequence", str(vector["sequence"]))
    signed = await pivot(
        *("tx", "sign", str(tmp_path / "tx.json"), "--from", "signer", "--offline", "--chain-id", vector["chain_id"]),
        *(*place, "--output-document", str(tmp_path / "signed.json")),
    )
    assert signed.code == 0, signed.err
    assert encoded(read_transaction(str(tmp_path / "signed.json"))).hex() == vector["tx_raw_hex"]
    alone = await pivot(
        *("tx", "sign", str(tmp_path / "tx.json"), "--from", "signer", "--offline", "--chain-id", vector["chain_id"]),
        *(*place, "--signature-only"),
    )
    [part] = alone.json["signatures"]
    assert part["data"]["single"]["mode"] == "SIGN_MODE_DIRECT"


async def test_nobody_else_signs(ask: Pivot, tmp_path: Path) -> None:
    made = await ask("tx", "bank", "send", "alice", BOB, "7ngonka", "--generate-only")
    (tmp_path / "made.json").write_text(made.out)
    told = await ask("tx", "sign", str(tmp_path / "made.json"), "--from", "bob")
    assert (told.code, "needs the signature of" in told.err) == (1, True)
    unsigned = await ask("tx", "broadcast", str(tmp_path / "made.json"), "--yes")
    assert (unsigned.code, "is not signed by all" in unsigned.err) == (1, True)
    single = await ask("tx", "multisign", str(tmp_path / "made.json"), "alice", str(tmp_path / "made.json"))
    assert (single.code, "is one key" in single.err) == (1, True)


async def test_two_signers_need_a_mode_that_does_not_depend_on_each_other(ask: Pivot, tmp_path: Path) -> None:
    made = await ask(
        "tx", "bank", "send", "alice", BOB, "7ngonka", "--fee-payer", BOB, "--generate-only", "--gas", "100000"
    )
    assert made.code == 0, made.err
    (tmp_path / "made.json").write_text(made.out)
    told = await ask("tx", "sign", str(tmp_path / "made.json"), "--from", "alice")
    assert (told.code, "--sign-mode amino-json" in told.err) == (1, True)
    at_once = await ask(
        *("tx", "bank", "send", "alice", BOB, "7ngonka", "--fee-payer", BOB, "--gas", "100000", "--yes"),
        *("--sign-mode", "amino-json"),
    )
    assert (at_once.code, "--generate-only" in at_once.err) == (1, True)


async def test_a_signed_transaction_is_tried_out(ask: Pivot, engine: FakeEngine, tmp_path: Path) -> None:
    place = ("--offline", "--chain-id", CHAIN_ID, "--account-number", "0", "--sequence", "0")
    made = await ask("tx", "bank", "send", "alice", BOB, "7ngonka", *place)
    (tmp_path / "signed.json").write_text(made.out)
    told = await ask("tx", "broadcast", str(tmp_path / "signed.json"), "--dry-run", "--json")
    assert int(told.json["gas_info"]["gas_used"]) > 0
    assert engine.chain.balance(BOB) == COINS


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sign", "{folder}/none.json", "--from", "alice"), "cannot be read"),
        (("sign", "{folder}/text.json", "--from", "alice"), "no transaction in JSON"),
        (("broadcast", "{folder}/empty.json"), "has no messages"),
        (("decode", "%%%"), "not base64"),
        (("decode", "--hex", "zz"), "not hex"),
        (("decode", "//8="), "are no transaction"),
    ],
)
async def test_what_is_no_transaction_is_told(
    arguments: tuple[str, ...], sentence: str, ask: Pivot, tmp_path: Path
) -> None:
    (tmp_path / "text.json").write_text("text")
    (tmp_path / "empty.json").write_text("{}")
    told = await ask("tx", *(each.format(folder=tmp_path) for each in arguments))
    assert told.code == 1
    assert sentence in told.err


async def test_a_message_of_another_chain_is_told(ask: Pivot, tmp_path: Path) -> None:
    made = (await ask("tx", "bank", "send", "alice", BOB, "7ngonka", "--generate-only")).json
    made["body"]["messages"] = [{"@type": "/cosmos.tx.v1beta1.Fee", "gas_limit": "1"}]
    (tmp_path / "made.json").write_text(json.dumps(made))
    told = await ask("tx", "sign", str(tmp_path / "made.json"), "--from", "alice")
    assert (told.code, "this chain has no message" in told.err) == (1, True)


async def test_text_for_people_is_yaml(pivot: Pivot) -> None:
    shown = await pivot("tx", "decode", "--hex", VECTORS[0]["tx_raw_hex"])
    assert "body:\n  messages:" in shown.out


def test_a_document_is_that_of_the_gateway() -> None:
    assert document(decoded(bytes.fromhex(VECTORS[0]["tx_raw_hex"])))["body"]["unordered"] is False


def test_what_this_chain_does_not_know_is_told() -> None:
    strange = Tx(body=TxBody(messages=[AnyMessage(type_url="/nonesuch.v1.MsgStrange", value=b"")]))
    with pytest.raises(CommandFailed, match="MsgStrange"):
        document(strange)
