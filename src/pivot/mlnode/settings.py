"""Settings of the ML node, from `MLNODE_…` variables."""

from __future__ import annotations

import ipaddress
import shlex
import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pivot.mlnode.poc.frames import Backend

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
    tls_certificate: Path | None = None
    """The node's own certificate (PEM): with it both ports speak TLS, and call-backs show it."""
    tls_key: Path | None = None
    """Its key (PEM, not encrypted)."""
    client_ca: Path | None = None
    """Authority (PEM) of the network node's certificates: nobody else is let in, or called back at an https:// address."""
    allow_open: bool = False
    """Bind to a public address without a token all the same (where a network or a proxy keeps others out)."""
    models_dir: Path = REPOSITORY_MODELS
    """Folder of the models: `pivot/tiny-chat` is its folder `tiny-chat`."""
    engine: Literal["auto", "embedded", "vllm"] = "auto"
    """What serves models; auto: the embedded engine those named `pivot/…`, vLLM all others."""
    vllm_python: str = ""
    """The interpreter that has vLLM; empty for the node's own."""
    poc_backend: Backend = "auto"
    """What computes the sprint; auto: torch on NVIDIA GPUs where it is installed, else numpy. torch runs without GPUs, too."""
    poc_python: str = ""
    """The interpreter that has torch and numpy, as vLLM's does; empty for the node's own."""
    callback_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names or addresses of the network nodes that may be called back, with commas between; empty for any."""
    train_command: Annotated[tuple[str, ...], NoDecode] = ()
    """What a training runs, written as for a shell; empty for the trainer that comes with the node."""
    train_dir: Path | None = None
    """Trainings' working folders; None for `training` in `state_dir`, or in `~/.pivot`."""
    state_dir: Path | None = None
    """A folder of this node's own, where the leaves of a sprint survive its restart; without it they are in memory."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("callback_hosts", mode="before")
    @classmethod
    def _separated_by_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("train_command", mode="before")
    @classmethod
    def _words_of_a_command(cls, value: object) -> object:
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @field_validator("tls_certificate", "tls_key", "client_ca", mode="before")
    @classmethod
    def _an_empty_variable_is_no_path(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _certificates_are_whole(self) -> Self:
        files = (self.tls_certificate, self.tls_key, self.client_ca)
        if any(files) and not all(files):
            raise ValueError(
                "MLNODE_TLS_CERTIFICATE, MLNODE_TLS_KEY and MLNODE_CLIENT_CA are set together, or none of them"
            )
        return self

    @model_validator(mode="after")
    def _public_only_with_a_token(self) -> Self:
        if not self.token and not self.client_ca and not self.allow_open and is_public(self.host):
            raise ValueError(
                f"{self.host} is a public address: set MLNODE_TOKEN or MLNODE_CLIENT_CA, or MLNODE_ALLOW_OPEN=true when "
                "others are kept out"
            )
        return self

    @property
    def trainings(self) -> Path:
        """Folder of the trainings' working folders."""
        return self.train_dir or (self.state_dir or Path.home() / ".pivot") / "training"

    @property
    def public(self) -> bool:
        """Whether the ports may be reached from everywhere."""
        return is_public(self.host)

    @property
    def guarded(self) -> bool:
        """Whether others than the node's own host are kept out: by a token, by certificates, or as nobody else reaches it."""
        return bool(self.token) or self.client_ca is not None or self.allow_open or is_loopback(self.host)


def sentences(error: ValidationError) -> list[str]:
    """What is wrong with which variable; one sentence each."""
    return [f"{'_'.join(('MLNODE', *map(str, fault['loc']))).upper()}: {fault['msg']}" for fault in error.errors()]


def is_public(host: str) -> bool:
    """Whether a socket bound to `host` may be reached from everywhere. Raises ValueError for an unknown name."""
    return any(address.is_unspecified or not address.is_private for address in _addresses(host))


def is_loopback(host: str) -> bool:
    """Whether a socket bound to `host` is reached from this machine alone. Raises ValueError for an unknown name."""
    return all(address.is_loopback for address in _addresses(host))


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"{host} is no address of this machine: {error}") from error
    return [ipaddress.ip_address(address[0]) for *_, address in found]
