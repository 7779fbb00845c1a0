"""One key of a keyring, as it stands in its file: name, public key, and the secret in the form of the backend."""

import json
import re
from dataclasses import dataclass
from typing import Any

from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.node.keyring.errors import DamagedRecord, KeyringError
from pivot.primitives.addresses import Address, from_public_key
from pivot.primitives.keys import is_public_key
from pivot.protocol.messages import pack, type_url
from pivot.protocol.multisig import InvalidMultisig, address_of_multisig

MAX_NAME_CHARACTERS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]*")

PublicKey = PubKey | LegacyAminoPubKey


@dataclass(frozen=True)
class KeyRecord:
    """A key. `sealed` is empty where only the public key is known: of somebody else, or of several (multisig)."""

    name: str
    public_key: PublicKey
    sealed: str = ""

    @property
    def address(self) -> Address:
        return address_of(self.public_key)

    @property
    def kind(self) -> str:
        """`local` with a secret, `multi` of several keys, `offline` otherwise."""
        if isinstance(self.public_key, LegacyAminoPubKey):
            return "multi"
        return "local" if self.sealed else "offline"

    def to_json(self) -> str:
        """What stands in the file."""
        document = {"name": self.name, "public_key": public_key_document(self.public_key), "sealed": self.sealed}
        return json.dumps(document, indent=2)

    @classmethod
    def from_json(cls, text: str, origin: str) -> "KeyRecord":
        """The key of a file; `origin` names it. Raises DamagedRecord."""
        try:
            document = json.loads(text)
            return cls(document["name"], parse_public_key(document["public_key"]), document["sealed"])
        except (ValueError, KeyError, TypeError, KeyringError) as error:
            raise DamagedRecord(f"{origin} holds no key: {error or type(error).__name__}") from error


def check_name(name: str) -> str:
    """A name that fits a file. Raises KeyringError."""
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise KeyringError(f"{name!r} is no name of at most {MAX_NAME_CHARACTERS} letters, digits and _ . @ -")
    return name


def address_of(public_key: PublicKey) -> Address:
    """The account that a public key has."""
    if isinstance(public_key, LegacyAminoPubKey):
        return address_of_multisig(public_key)
    return from_public_key(public_key.key)


def public_key_document(public_key: PublicKey) -> dict[str, Any]:
    """The published JSON of a public key: `{"@type": "/cosmos.crypto.secp256k1.PubKey", "key": "<base64>"}`."""
    document: dict[str, Any] = json_format.MessageToDict(pack(public_key), preserving_proto_field_name=True)
    return document


def parse_public_key(document: dict[str, Any]) -> PublicKey:
    """The public key of its published JSON. Raises KeyringError."""
    packed = AnyMessage()
    try:
        json_format.ParseDict(document, packed)
    except (json_format.ParseError, AttributeError) as error:
        raise KeyringError(f"not the JSON of a public key: {error}") from error
    if packed.type_url == type_url(LegacyAminoPubKey):
        several = LegacyAminoPubKey.FromString(packed.value)
        try:
            address_of_multisig(several)
        except InvalidMultisig as error:
            raise KeyringError(str(error)) from error
        return several
    if packed.type_url != type_url(PubKey):
        raise KeyringError(f"accounts have keys of the type {type_url(PubKey)}, not {packed.type_url}")
    return single(PubKey.FromString(packed.value).key)


def single(raw: bytes) -> PubKey:
    """A compressed secp256k1 key. Raises KeyringError."""
    if not is_public_key(raw):
        raise KeyringError("a public key is a compressed secp256k1 key of 33 bytes")
    return PubKey(key=raw)
