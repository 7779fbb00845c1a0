"""How a host declares an ML node: the object of the Admin API and of `node-config.json` (published shape)."""

from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Annotated, Any, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pivot.protocol.hardware import (
    MAX_HARDWARE_PER_NODE,
    MAX_MODELS_PER_NODE,
    MAX_NODE_ID_LENGTH,
    MAX_TEXT_LENGTH,
)

MAX_NAME_LENGTH = 200
MAX_TOKEN_LENGTH = 4_000
MAX_PORT = 65_535
MAX_CONCURRENT_REQUESTS = 100_000
MAX_ARGUMENTS = 256

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
Port = Annotated[int, Field(ge=1, le=MAX_PORT, strict=True)]
Segment = Annotated[str, Field(max_length=MAX_NAME_LENGTH, pattern=r"^[A-Za-z0-9._~/-]*$")]


class InvalidNode(ValueError):
    """A declaration that cannot be taken; the sentence names the field."""


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelArguments(_Declared):
    """A model that the node can serve, and the host's own arguments for it."""

    args: Annotated[list[Annotated[str, Field(max_length=MAX_TOKEN_LENGTH)]], Field(max_length=MAX_ARGUMENTS)] = []


class HardwareEntry(_Declared):
    """Accelerators of one type."""

    type: Name
    count: Annotated[int, Field(ge=1, le=MAX_PORT)]


class NodeDeclaration(_Declared):
    """One ML node. The segments are put before the path where the node sits behind a gateway."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_NODE_ID_LENGTH)]
    host: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]
    """A name, an IP address, or either behind `http://` or `https://`."""
    inference_segment: Segment = ""
    inference_port: Port
    poc_segment: Segment = ""
    poc_port: Port
    max_concurrent: Annotated[int, Field(ge=1, le=MAX_CONCURRENT_REQUESTS, strict=True)]
    models: Annotated[dict[Name, ModelArguments], Field(max_length=MAX_MODELS_PER_NODE)] = {}
    hardware: Annotated[list[HardwareEntry], Field(max_length=MAX_HARDWARE_PER_NODE)] = []
    version: Annotated[str, Field(max_length=MAX_NAME_LENGTH)] = ""
    auth_token: Annotated[str, Field(max_length=MAX_TOKEN_LENGTH, exclude=True)] = ""
    """Bearer token of the node's management port. Never shown again."""

    @field_validator("host")
    @classmethod
    def _host_without_port_or_path(cls, value: str) -> str:
        _split_host(value)
        return value

    @classmethod
    def parse(cls, document: Any) -> Self:
        """A declaration from JSON values. Raises InvalidNode."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise InvalidNode(complaint(error.errors()[0])) from None

    @property
    def management_url(self) -> str:
        return self._url(self.poc_port, self.poc_segment)

    @property
    def inference_url(self) -> str:
        return self._url(self.inference_port, self.inference_segment)

    def document(self) -> dict[str, Any]:
        """Everything, as it is kept in the database; `model_dump` is what others may see."""
        return {**self.model_dump(), "auth_token": self.auth_token}

    def with_token_of(self, before: Self) -> Self:
        """With the token of the declaration that it replaces, where it names none and the address is the same."""
        if "auth_token" in self.model_fields_set or self.management_url != before.management_url:
            return self
        return self.model_copy(update={"auth_token": before.auth_token})

    def _url(self, port: int, segment: str) -> str:
        parts = _split_host(self.host)
        name = parts.hostname or ""
        host = f"[{name}]" if ":" in name else name
        path = "/".join(part for part in segment.split("/") if part)
        return f"{parts.scheme}://{host}:{port}" + (f"/{path}" if path else "")


def complaint(fault: Mapping[str, Any]) -> str:
    """One of pydantic's faults as a sentence that names the field, without the value: it may be a secret."""
    if fault["type"] == "json_invalid":
        return "the body is no JSON"
    field = ".".join(str(part) for part in fault["loc"] if part != "body")
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{field}: {message}" if field else message


def _split_host(host: str) -> SplitResult:
    """Scheme and host name of a declared host. Raises ValueError with a sentence."""
    try:
        parts = urlsplit(host if "://" in host else f"http://{_bracketed(host)}")
        with_port = parts.port is not None
    except ValueError:
        raise ValueError(f"{host!r} is no host name or address") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{host!r} must be a host name or an address, with http:// or https:// if anything")
    if with_port or parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{host!r} must hold no port, path or user: ports and segments have fields of their own")
    if any(character.isspace() for character in host):
        raise ValueError(f"{host!r} holds white space")
    return parts


def _bracketed(host: str) -> str:
    try:
        return f"[{IPv6Address(host)}]"
    except ValueError:
        return host
