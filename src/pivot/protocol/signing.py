"""The exact bytes that every signature of the protocol covers (docs/protocol/signatures.md).

A developer signs in the published form of gonka-openai 0.2.6; all others sign a tag and length-prefixed fields, so no
signature can be taken for another.
"""

from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishInference, MsgStartInference

WARM_KEY_GRANT = "/inference.inference.MsgStartInference"
"""Whoever holds a host's authz grant for this message may sign starts, acceptances and finishes in the host's name."""


def developer_sign_bytes(body_hash: str, timestamp_ns: int, transfer_address: str) -> bytes:
    """What a developer signs: `hex(SHA-256(body)) ‖ time stamp ‖ transfer agent`. The signature is the inference's id."""
    return f"{body_hash}{timestamp_ns}{transfer_address}".encode()


def body_hash(body: bytes) -> str:
    """Lower-case hex of SHA-256 of a request's body, as it came from the developer."""
    return sha256(body).hex()


def start_sign_bytes(start: MsgStartInference) -> bytes:
    """What the transfer agent signs: everything that decides who answers and what it may cost."""
    return _tagged(
        "pivot/start/1",
        start.inference_id,
        start.prompt_hash,
        start.model,
        start.requested_by,
        start.transferred_by,
        start.assigned_to,
        start.epoch_id,
        start.attempt,
        start.max_tokens,
        start.prompt_token_count,
        start.request_timestamp,
    )


def acceptance_sign_bytes(start: MsgStartInference) -> bytes:
    """What an executor signs before its first byte: from here on it can be blamed for not answering.

    It covers the whole start, so a transfer agent cannot record another one, with a smaller escrow, than was accepted.
    """
    return _tagged("pivot/accept/1", sha256(start_sign_bytes(start)).hex())


def finish_sign_bytes(finish: MsgFinishInference) -> bytes:
    """What an executor signs when it has answered."""
    return _tagged(
        "pivot/finish/1",
        finish.inference_id,
        finish.executed_by,
        finish.response_hash,
        finish.artifact_hash,
        finish.prompt_token_count,
        finish.completion_token_count,
    )


def registration_sign_bytes(chain_id: str, address: str, url: str, validator_key: str) -> bytes:
    """What a host's account key signs when it registers, whoever forwards it."""
    return _tagged("pivot/register/1", chain_id, address, url, validator_key)


def gateway_sign_bytes(chain_id: str, participant: str) -> bytes:
    """What a gateway account signs to pay for what the participant's developers cannot."""
    return _tagged("pivot/gateway/1", chain_id, participant)


def leaves_sign_bytes(
    chain_id: str, epoch: int, host: str, node_number: int, indices: list[int], timestamp_ns: int
) -> bytes:
    """What a checker signs when it asks a host for leaves of its proof of compute."""
    return _tagged(
        "pivot/leaves/1", chain_id, epoch, host, node_number, ",".join(str(index) for index in indices), timestamp_ns
    )


def artifact_sign_bytes(chain_id: str, host: str, inference_id: str, timestamp_ns: int) -> bytes:
    """What a checker signs when it asks a host for the artifact of an answer."""
    return _tagged("pivot/artifact/1", chain_id, host, inference_id, timestamp_ns)


def training_sign_bytes(chain_id: str, host: str, path: str, body: bytes, timestamp_ns: int) -> bytes:
    """What an account signs when it asks a host for something to do with training: the path and the whole body."""
    return _tagged("pivot/training/1", chain_id, host, path, body_hash(body), timestamp_ns)


def _tagged(*fields: str | int) -> bytes:
    parts = [str(field).encode() for field in fields]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
