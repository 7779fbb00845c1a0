"""Tokens of trainings: by them the store knows for which node of which task a job speaks.

A token is made from a secret of this API node, so none has to be kept, and a job goes on after a restart of the node.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass

TAG = b"pivot/training-store/1"
PARTS = 3
MAX_TASK_ID = 2**64 - 1


class InvalidToken(ValueError):
    """A token that this node has not made."""

    def __init__(self) -> None:
        super().__init__("the task's token (STORE_TOKEN) is missing, or not of this node")


@dataclass(frozen=True)
class Place:
    """One node of one run."""

    task_id: int
    node_id: str
    """The host's address, a slash, and the node's own id."""


def store_token(secret: str, place: Place) -> str:
    """The token of a place: task, node in base64, and a code over both."""
    return f"{place.task_id}.{_encoded(place.node_id)}.{_code(secret, place)}"


def read_token(secret: str, token: str) -> Place:
    """The place for which a token was made. Raises InvalidToken."""
    parts = token.split(".")
    if len(parts) != PARTS or not (parts[0].isascii() and parts[0].isdecimal()):
        raise InvalidToken
    try:
        place = Place(int(parts[0]), base64.urlsafe_b64decode(parts[1]).decode())
    except (binascii.Error, ValueError):
        raise InvalidToken from None
    if place.task_id > MAX_TASK_ID or not hmac.compare_digest(store_token(secret, place).encode(), token.encode()):
        raise InvalidToken
    return place


def _code(secret: str, place: Place) -> str:
    text = TAG + place.task_id.to_bytes(8) + place.node_id.encode()
    return hmac.digest(secret.encode(), text, "sha256").hex()


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()
