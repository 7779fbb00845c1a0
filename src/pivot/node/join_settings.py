"""What a host says about the network that it joins: options of `pivot node join`, or the published environment variables."""

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pivot.node.addresses import LARGEST_PORT, HostPort, parse_address, parse_url

HOME_VARIABLE = "PIVOT_HOME"
DEFAULT_TRUSTED_BLOCKS = 2_000
DEFAULT_SNAPSHOT_INTERVAL = 1_000
DEFAULT_SNAPSHOTS_KEPT = 5
LARGEST_COUNT = 2**31
MAX_NAME_CHARACTERS = 64
SHA256_HEX_DIGITS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class InvalidJoinSettings(ValueError):
    """Settings with which no network can be joined; one line per setting that is wrong, which names it."""


def default_home() -> Path:
    """The network node's folder: PIVOT_HOME, or `.pivot` in the user's own."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".pivot")


def _name(text: str) -> str:
    if len(text) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of at most {MAX_NAME_CHARACTERS} letters, digits and _ . -")
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch(rf"[0-9a-fA-F]{{{SHA256_HEX_DIGITS}}}", text):
        raise ValueError(f"{text!r} is no SHA-256 of {SHA256_HEX_DIGITS} hex digits")
    return text.lower()


def _address(value: Any) -> Any:
    return parse_address(value) if isinstance(value, str) else value


def _from(variable: str, default: Any = ...) -> Any:
    """A setting that is read from an environment variable where no option gives it."""
    return Field(default, validation_alias=variable)


Url = Annotated[str, AfterValidator(parse_url)]
Address = Annotated[HostPort, NoDecode, BeforeValidator(_address)]
OptionalAddress = Annotated[HostPort | None, NoDecode, BeforeValidator(_address)]
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]


class JoinSettings(BaseSettings):
    """All settings; options win over the environment, and an empty variable is one that is not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    home: Annotated[Path, AfterValidator(Path.absolute)] = _from(HOME_VARIABLE, Path.home() / ".pivot")
    seed_rpc: Url = _from("SEED_NODE_RPC_URL")
    """RPC of a chain node in the network: it tells the genesis document and its own node id."""
    seed_p2p: Address = _from("SEED_NODE_P2P_URL")
    """P2P address of the same chain node: the first peer."""
    genesis_sha256: Annotated[str, AfterValidator(_sha256)] | None = _from("GENESIS_SHA256", None)
    """Of the genesis document as canonical JSON; another one is refused."""
    moniker: Annotated[str, AfterValidator(_name)] = _from("KEY_NAME", None)
    """Name of the engine among its peers (default: this machine's)."""
    external_address: OptionalAddress = _from("P2P_EXTERNAL_ADDRESS", None)
    """Where other engines reach this one."""
    p2p: Address = _from("CONFIG_p2p__laddr", HostPort("0.0.0.0", 26656))  # noqa: S104  peers come from anywhere
    rpc: Address = _from("CONFIG_rpc__laddr", HostPort("127.0.0.1", 26657))
    signer_port: Annotated[int, Field(ge=1, le=LARGEST_PORT)] | None = _from("TMKMS_PORT", None)
    """Where the engine waits for tmkms, which holds the consensus key. Not set: the engine makes and holds one itself."""
    signer_host: str = _from("TMKMS_LISTEN_HOST", "127.0.0.1")
    state_sync: bool = _from("SYNC_WITH_SNAPSHOTS", default=False)
    """Whether to begin with a snapshot of the state in place of all blocks."""
    rpc_server_1: Url | None = _from("RPC_SERVER_URL_1", None)
    rpc_server_2: Url | None = _from("RPC_SERVER_URL_2", None)
    """Two chain nodes whose headers must agree before a snapshot is trusted."""
    trusted_block_period: Count = _from("TRUSTED_BLOCK_PERIOD", DEFAULT_TRUSTED_BLOCKS)
    """How many blocks behind the head the trusted header lies."""
    snapshot_interval: Annotated[int, Field(ge=0, le=LARGEST_COUNT)] = _from(
        "SNAPSHOT_INTERVAL", DEFAULT_SNAPSHOT_INTERVAL
    )
    """A snapshot of the state every so many blocks; 0: none."""
    snapshot_keep_recent: Count = _from("SNAPSHOT_KEEP_RECENT", DEFAULT_SNAPSHOTS_KEPT)

    @classmethod
    def load(cls, **options: Any) -> Self:
        """The settings of this process. Options that are None are not given. Raises InvalidJoinSettings."""
        try:
            return cls(**{_variable(cls, name): value for name, value in options.items() if value is not None})
        except ValidationError as error:
            raise InvalidJoinSettings("\n".join(cls._sentence(each) for each in error.errors())) from error

    @model_validator(mode="before")
    @classmethod
    def _moniker(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("KEY_NAME"):
            values["KEY_NAME"] = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:MAX_NAME_CHARACTERS] or "node"
        return values

    @model_validator(mode="after")
    def _servers(self) -> Self:
        if self.state_sync and (self.rpc_server_1 is None or self.rpc_server_2 is None):
            missing = "RPC_SERVER_URL_1" if self.rpc_server_1 is None else "RPC_SERVER_URL_2"
            raise ValueError(
                f"{missing} is not set: SYNC_WITH_SNAPSHOTS (--state-sync) compares the headers of two servers"
            )
        return self

    @property
    def signer(self) -> HostPort | None:
        """Where the engine waits for its signer."""
        return HostPort(self.signer_host, self.signer_port) if self.signer_port else None

    @classmethod
    def _sentence(cls, error: Any) -> str:
        """Which setting is wrong, under its names in the environment and on the command line."""
        reason = str(error["msg"]).removeprefix("Value error, ")
        if not error["loc"]:
            return reason
        variable = str(error["loc"][0])
        option = next(name for name in cls.model_fields if _variable(cls, name) == variable)
        missing = error["type"] == "missing"
        return f"{variable} (--{option.replace('_', '-')}){' is not set' if missing else f': {reason}'}"


def _variable(settings: type[BaseSettings], name: str) -> str:
    return str(settings.model_fields[name].validation_alias)
