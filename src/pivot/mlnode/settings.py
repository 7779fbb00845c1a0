"""Settings of the ML node, from `MLNODE_…` variables."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = "127.0.0.1"
MAX_PORT = 2**16 - 1
REPOSITORY_MODELS = Path(__file__).parents[3] / "models"

Port = Annotated[int, Field(ge=1, le=MAX_PORT)]


class MlNodeSettings(BaseSettings):
    """Where the node listens, who may command it, and what it serves with."""

    model_config = SettingsConfigDict(env_prefix="MLNODE_")

    host: str = LOOPBACK
    """Address of both ports."""
    management_port: Port = 8080
    inference_port: Port = 5000
    token: str = ""
    """Bearer token of the management port; demanded when it is bound to a public address."""
    allow_open: bool = False
    """Bind to a public address without a token all the same (where a network or a proxy keeps others out)."""
    models_dir: Path = REPOSITORY_MODELS
    """Folder of the models: `pivot/tiny-chat` is its folder `tiny-chat`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _public_only_with_a_token(self) -> Self:
        if not self.token and not self.allow_open and is_public(self.host):
            raise ValueError(
                f"{self.host} is a public address: set MLNODE_TOKEN, or MLNODE_ALLOW_OPEN=true when others are kept out"
            )
        return self


def sentences(error: ValidationError) -> list[str]:
    """What is wrong with which variable; one sentence each."""
    return [f"{'_'.join(('MLNODE', *map(str, fault['loc']))).upper()}: {fault['msg']}" for fault in error.errors()]


def is_public(host: str) -> bool:
    """Whether a socket bound to `host` may be reached from everywhere. Raises ValueError for an unknown name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"{host} is no address of this machine: {error}") from error
    addresses = [ipaddress.ip_address(address[0]) for *_, address in found]
    return any(address.is_unspecified or not address.is_private for address in addresses)
