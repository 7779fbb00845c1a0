"""What signatures cover: every field that matters, each for one purpose only."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.primitives.keys import PrivateKey, decode_signature, verify
from pivot.protocol import signing
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishInference, MsgStartInference
from tests.vectors import load_vectors

VECTORS = load_vectors("developer_signatures.json")["vectors"]
HASH = "5" * 64


def start(**fields: Any) -> MsgStartInference:
    return MsgStartInference(
        **{
            "inference_id": "id",
            "prompt_hash": HASH,
            "model": "org/model",
            "requested_by": "developer",
            "transferred_by": "agent",
            "assigned_to": "executor",
            "epoch_id": 4,
            "attempt": 1,
            "max_tokens": 100,
            "prompt_token_count": 20,
            "request_timestamp": 1_756_000_000_000_000_000,
            **fields,
        }
    )


def finish(**fields: Any) -> MsgFinishInference:
    return MsgFinishInference(
        **{
            "inference_id": "id",
            "executed_by": "executor",
            "response_hash": HASH,
            "artifact_hash": HASH,
            "prompt_token_count": 20,
            "completion_token_count": 9,
            **fields,
        }
    )


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_a_developers_signature_of_the_published_client_verifies(vector: dict[str, Any]) -> None:
    body_hash = signing.body_hash(vector["body"].encode())
    signed = signing.developer_sign_bytes(body_hash, vector["timestamp_ns"], vector["transfer_address"])
    key = PrivateKey.from_hex(vector["private_key_hex"])
    assert key.address == vector["address"]
    assert verify(key.public_key, signed, decode_signature(vector["signature"]))


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_older_form_over_the_raw_body_does_not_verify(vector: dict[str, Any]) -> None:
    signed = f"{vector['body']}{vector['timestamp_ns']}{vector['transfer_address']}".encode()
    key = PrivateKey.from_hex(vector["private_key_hex"])
    assert not verify(key.public_key, signed, decode_signature(vector["signature"]))


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("inference_id", "other"),
        ("prompt_hash", "6" * 64),
        ("model", "org/other"),
        ("requested_by", "other"),
        ("transferred_by", "other"),
        ("assigned_to", "other"),
        ("epoch_id", 5),
        ("attempt", 2),
        ("max_tokens", 101),
        ("prompt_token_count", 21),
        ("request_timestamp", 1),
    ],
)
def test_w4_the_transfer_agents_signature_covers_every_term(field: str, other: object) -> None:
    assert signing.start_sign_bytes(start()) != signing.start_sign_bytes(start(**{field: other}))


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("inference_id", "other"),
        ("executed_by", "other"),
        ("response_hash", "6" * 64),
        ("artifact_hash", "6" * 64),
        ("prompt_token_count", 21),
        ("completion_token_count", 10),
    ],
)
def test_w4_the_executors_signature_covers_answer_artifact_and_counts(field: str, other: object) -> None:
    assert signing.finish_sign_bytes(finish()) != signing.finish_sign_bytes(finish(**{field: other}))


def test_an_acceptance_is_for_one_start_and_no_other() -> None:
    signed = {
        signing.acceptance_sign_bytes(start(**changed))
        for changed in (
            {},
            {"attempt": 2},
            {"epoch_id": 9},
            {"inference_id": "other"},
            {"max_tokens": 1},
            {"model": "m"},
        )
    }
    assert len(signed) == 6


def test_no_signature_can_be_taken_for_one_of_another_purpose() -> None:
    signed = [
        signing.developer_sign_bytes(HASH, 1, "a"),
        signing.start_sign_bytes(start()),
        signing.acceptance_sign_bytes(start()),
        signing.finish_sign_bytes(finish()),
        signing.registration_sign_bytes("chain", "a", "url", "key"),
        signing.gateway_sign_bytes("chain", "a"),
        signing.leaves_sign_bytes("chain", 1, "a", 1, [1, 2], 1),
        signing.artifact_sign_bytes("chain", "a", "id", 1),
    ]
    tags = [text[4 : 4 + int.from_bytes(text[:4])] for text in signed[1:]]
    assert len(set(tags)) == len(tags)
    assert all(tag.startswith(b"pivot/") for tag in tags)
    assert not signed[0].startswith(b"\0")


text = st.text(max_size=6)
CHANGES: list[Callable[[str, str], bytes]] = [
    lambda a, b: signing.registration_sign_bytes("c", a, b, "k"),
    signing.gateway_sign_bytes,
    lambda a, b: signing.finish_sign_bytes(finish(response_hash=a, artifact_hash=b)),
]


@pytest.mark.parametrize("signed", CHANGES)
@given(text, text, text, text)
def test_letters_cannot_move_from_one_field_to_the_next(
    signed: Callable[[str, str], bytes], a: str, b: str, c: str, d: str
) -> None:
    assert (signed(a, b) == signed(c, d)) == ((a, b) == (c, d))
