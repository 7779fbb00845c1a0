"""One host's part: its registration, signed offline by its account key, in a file that stands for itself.

The signature is the one of every registration (`protocol/signing.py: registration_sign_bytes`): over chain, address, URL and
consensus key. Where peers reach the host's engine stands beside it, unsigned: a wrong one leads to nobody, as a peer's name is the
hash of its key.
"""

import base64
import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from pivot.node.addresses import parse_address, parse_url
from pivot.node.ceremony.errors import CeremonyError
from pivot.primitives.addresses import CONSENSUS_KEY_LENGTH, from_public_key
from pivot.primitives.keys import InvalidSignature, PrivateKey, decode_signature, is_public_key, verify
from pivot.protocol.signing import registration_sign_bytes

NODE_ID_DIGITS = 40


def _peer(text: str) -> str:
    node_id, at, address = text.partition("@")
    if text and not (at and len(node_id) == NODE_ID_DIGITS and node_id.isalnum()):
        raise ValueError(f"{text!r} is not of the form node-id@host:port")
    if text:
        parse_address(address)
    return text


class Gentx(BaseModel):
    """What a host says and signs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chain_id: str
    address: str
    public_key: str
    """base64 of the compressed account key, 33 bytes."""
    url: Annotated[str, AfterValidator(parse_url)]
    consensus_key: str
    """base64 of the ed25519 key that signs blocks, 32 bytes."""
    registration_signature: str
    peer: Annotated[str, AfterValidator(_peer)] = ""
    """`node-id@host:port` of the host's engine; empty if it tells none."""

    @classmethod
    def signed(cls, key: PrivateKey, chain_id: str, url: str, consensus_key: bytes, peer: str = "") -> Self:
        """The host's part. Raises CeremonyError."""
        told = base64.b64encode(consensus_key).decode()
        address = parse_url_of(url)
        return cls.parsed(
            {
                "chain_id": chain_id,
                "address": key.address,
                "public_key": base64.b64encode(key.public_key).decode(),
                "url": address,
                "consensus_key": told,
                "registration_signature": key.sign_base64(
                    registration_sign_bytes(chain_id, key.address, address, told)
                ),
                "peer": peer,
            },
            "this gentx",
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """A host's part from a file, checked. Raises CeremonyError."""
        try:
            document = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise CeremonyError(f"{file} cannot be read as JSON: {error}") from error
        return cls.parsed(document, str(file))

    @classmethod
    def parsed(cls, document: object, name: str) -> Self:
        """A host's part, its signature checked. Raises CeremonyError, which names the file."""
        try:
            gentx = cls.model_validate(document)
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise CeremonyError(f"{name}: {told}") from error
        gentx.check(name)
        return gentx

    @property
    def account_key(self) -> bytes:
        return base64.b64decode(self.public_key, validate=True)

    @property
    def validator_key(self) -> bytes:
        return base64.b64decode(self.consensus_key, validate=True)

    def check(self, name: str) -> None:
        """Refuse what nobody, or somebody else, has signed. Raises CeremonyError."""
        try:
            account_key, validator_key = self.account_key, self.validator_key
            signature = decode_signature(self.registration_signature)
        except (ValueError, InvalidSignature) as error:
            raise CeremonyError(f"{name}: public_key, consensus_key or signature is not base64: {error}") from error
        if not is_public_key(account_key) or from_public_key(account_key) != self.address:
            raise CeremonyError(f"{name}: public_key is not the key of {self.address}")
        if len(validator_key) != CONSENSUS_KEY_LENGTH:
            raise CeremonyError(f"{name}: consensus_key has {len(validator_key)} bytes, not {CONSENSUS_KEY_LENGTH}")
        signed = registration_sign_bytes(self.chain_id, self.address, self.url, self.consensus_key)
        if not verify(account_key, signed, signature):
            raise CeremonyError(
                f"{name}: registration_signature is not one of {self.address} over chain_id, url and consensus_key"
            )


def parse_url_of(text: str) -> str:
    """A host's URL as it is signed. Raises CeremonyError."""
    try:
        return parse_url(text)
    except ValueError as error:
        raise CeremonyError(str(error)) from error
