"""Settings of the API node: a YAML file (`API_CONFIG_PATH`), overridden by `DAPI_SECTION__FIELD` variables."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from pivot.api.identity import ACCOUNT_KEY_NAME, GATEWAY_KEY_NAME

CONFIG_PATH_VARIABLE = "API_CONFIG_PATH"
ENVIRONMENT_PREFIX = "DAPI_"
SHORT_NAMES = {"PUBLIC_URL": ("api", "public_url"), "SEED_API_URL": ("chain_node", "seed_api_url")}
"""Variables of `config.env` that say the same as `DAPI_SECTION__FIELD`, which wins over them."""
KEY_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
LOOPBACK = "127.0.0.1"
DEFAULT_REQUEST_LIMIT = 2**20
EPOCHS_ASKED_FOR = 2
"""Checkers and voters may ask for an artifact until the epoch after the next one."""
DEFAULT_ARTIFACT_BYTES = 20 * 2**30
DEFAULT_CHAIN_REQUESTS_PER_MINUTE = 6_000
DEFAULT_ACCOUNT_CONCURRENCY = 384
"""Three quarters of what a host has under way for developers (`http/openai.py: MAX_TRANSFERS`)."""
DEFAULT_ADDRESS_REQUESTS_PER_MINUTE = 6_000
DEFAULT_ADDRESS_CONCURRENCY = 512
"""An eighth of what the public port holds, and as many as a host answers for a single transfer agent."""
DEFAULT_REGISTRATIONS_PER_MINUTE = 30
DEFAULT_DRAIN_SECONDS = 15.0
"""Our compose files kill a container after 30 s; connections and outbox may take as long again."""
LARGEST_PORT = 65_535


class InvalidSettings(ValueError):
    """Settings with which the API node cannot start; one line per setting that is wrong."""


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is not an http:// or https:// address")
    return url.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_http_url)]
"""Without a slash at its end."""
Port = Annotated[int, Field(ge=0, le=LARGEST_PORT)]
"""0: any free one."""


EmptyOrPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
"""An empty variable is no path."""


def _named(fields: Iterable[str], joint: str = " and ") -> str:
    """Fields of section `api` under their names in the environment."""
    return joint.join(f"{ENVIRONMENT_PREFIX}API__{field.upper()}" for field in fields)


class HttpSettings(BaseModel):
    """Where the API node listens, and how others reach it (section `api`)."""

    public_url: HttpUrl = "http://127.0.0.1:9000"
    """Address that is registered on the chain."""
    public_server_host: str = "0.0.0.0"  # noqa: S104  the public port is public
    public_server_port: Port = 9000
    ml_server_host: str = LOOPBACK
    ml_server_port: Port = 9100
    admin_server_host: str = LOOPBACK
    admin_server_port: Port = 9200
    admin_published_host: str = ""
    """Where a container engine publishes the admin port, when the server inside must listen on all addresses."""
    poc_callback_url: HttpUrl = "http://127.0.0.1:9100"
    """Address under which ML nodes reach the call-back port."""
    admin_token: str = ""
    """Bearer token of the admin port; demanded when it is bound to a public address."""
    callback_token: str = ""
    """Bearer token of the call-back port; made by the node itself when empty."""
    tls_certificate: EmptyOrPath = None
    """This node's own certificate (PEM, with those that lead to its authority): of a port with a client CA, and at ML nodes."""
    tls_key: EmptyOrPath = None
    """Its key (PEM, not encrypted)."""
    admin_client_ca: EmptyOrPath = None
    """Authority (PEM) of who may call the admin port: with it the port speaks TLS, and hears nobody without a certificate."""
    ml_client_ca: EmptyOrPath = None
    """The same of ML nodes: of their call-backs, and of their own ports at https:// addresses."""
    allow_private_urls: bool = False
    """Whether other hosts' URLs may lie on loopback or private networks (a devnet)."""
    max_request_bytes: int = Field(default=DEFAULT_REQUEST_LIMIT, gt=0)
    """Of a request to a model. At most what the chain records as a prompt counts (`request.LONGEST_BODY_BYTES`)."""

    account_requests_per_minute: int = Field(default=0, ge=0)
    """Of one developer's account that signs its requests itself; 0: no limit, as each of them costs it coins."""
    account_concurrency: int = Field(default=DEFAULT_ACCOUNT_CONCURRENCY, ge=0)
    """Its requests at a time, those included that wait for their turn; 0: no limit."""
    chain_requests_per_minute: int = Field(default=DEFAULT_CHAIN_REQUESTS_PER_MINUTE, ge=0)
    """What the public port passes on to the chain node under `/chain-api/` and `/chain-rpc/`, for all together; 0: nothing."""
    address_requests_per_minute: int = Field(default=DEFAULT_ADDRESS_REQUESTS_PER_MINUTE, ge=1)
    """Of one public address at the public port, beside questions to models."""
    address_concurrency: int = Field(default=DEFAULT_ADDRESS_CONCURRENCY, ge=1)
    """Requests of one public address at a time, questions to models included."""
    registrations_per_minute: int = Field(default=DEFAULT_REGISTRATIONS_PER_MINUTE, ge=0)
    """What others may make this host write to the chain; the chain has a quota of its own. 0: nothing."""
    drain_seconds: float = Field(default=DEFAULT_DRAIN_SECONDS, ge=0)
    """How long answers under way may take once the node is told to end; what comes new meanwhile is refused."""

    @model_validator(mode="after")
    def _certificates_are_whole(self) -> Self:
        """Half of what mutual TLS needs would leave open what its host thinks closed."""
        own = {"tls_certificate": self.tls_certificate, "tls_key": self.tls_key}
        authorities = {"admin_client_ca": self.admin_client_ca, "ml_client_ca": self.ml_client_ca}
        if missing := [name for name, path in own.items() if path is None]:
            given = [name for name, path in {**own, **authorities}.items() if path is not None]
            if given:
                raise ValueError(f"{_named(given)}: without {_named(missing)} there is no TLS")
        elif not any(authorities.values()):
            raise ValueError(f"{_named(own)}: nobody's certificate is asked for, set {_named(authorities, ' or ')}")
        if self.ml_client_ca is not None and not self.poc_callback_url.startswith("https://"):
            raise ValueError(f"{_named(['poc_callback_url'])} must be https://: with a client CA the port speaks TLS")
        return self


class StorageSettings(BaseModel):
    """How long this host keeps what checkers may ask for (section `storage`)."""

    artifact_epochs: int = Field(default=EPOCHS_ASKED_FOR, ge=EPOCHS_ASKED_FOR)
    """An artifact of epoch e is kept through epoch e plus this; for less, checks of answers fail that were good."""
    artifact_bytes: int = Field(default=DEFAULT_ARTIFACT_BYTES, ge=0)
    """Of all artifacts together, compressed; above that the oldest ones go, whatever their epoch. 0: no limit."""


class TrainingSettings(BaseModel):
    """Whether and how this host's nodes train (section `training`)."""

    enabled: bool = False
    """Whether nodes of this host may be promised to trainings, and this node assigns nodes to tasks."""
    server_host: str = LOOPBACK
    server_port: Port = 9300
    """Of the trainings' store; every call there needs a task's token."""
    store_url: str = "127.0.0.1:9300"
    """host:port under which ML nodes reach the store."""
    peer_port: Port = 5565
    """Where rank 0 of a run listens for the other nodes, on its machine."""
    base_port: Port = 10_001
    """The first port that a job may use within a machine."""


class ChainNodeSettings(BaseModel):
    """The chain node that this API node trusts (section `chain_node`)."""

    url: HttpUrl = "http://127.0.0.1:26657"
    grpc_url: str = "127.0.0.1:9090"
    """host:port."""
    rest_url: HttpUrl = "http://127.0.0.1:1317"
    seed_api_url: str = ""
    """An existing API node that forwards this host's registration when its account does not exist yet."""

    @field_validator("seed_api_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _http_url(value) if value else value


class ApiSettings(BaseSettings):
    """All settings. Variables win over the file."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="ignore")

    home: Path = Field(default_factory=lambda: Path(os.environ.get("PIVOT_HOME") or Path.home() / ".pivot") / "api")
    """Keys, database, leaves of proof of compute."""
    key_name: Annotated[str, Field(pattern=KEY_NAME_PATTERN, validation_alias=AliasChoices("KEY_NAME", "key_name"))] = (
        ACCOUNT_KEY_NAME
    )
    """Which key in `home` is the host's account key; it is made on the first start."""
    database_url: Annotated[
        str, Field(validation_alias=AliasChoices("DATABASE_URL", "DAPI_DATABASE_URL", "database_url"))
    ] = ""
    """SQLAlchemy URL; empty: SQLite in `home`."""
    node_config_path: Annotated[
        Path | None, Field(validation_alias=AliasChoices("NODE_CONFIG_PATH", "node_config_path"))
    ] = None
    """JSON list of ML nodes that is loaded on the first start only."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or a line for people."""
    api: HttpSettings = HttpSettings()
    chain_node: ChainNodeSettings = ChainNodeSettings()
    storage: StorageSettings = StorageSettings()
    training: TrainingSettings = TrainingSettings()

    @field_validator("node_config_path", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return value or None

    @field_validator("key_name", mode="before")
    @classmethod
    def _default_key(cls, value: Any) -> Any:
        return value or ACCOUNT_KEY_NAME

    @field_validator("key_name")
    @classmethod
    def _own_key(cls, value: str) -> str:
        if value == GATEWAY_KEY_NAME:
            raise ValueError(f"{value!r} is the name of the gateway account's key")
        return value

    @classmethod
    def load(cls) -> Self:
        """The settings of this process. Raises InvalidSettings."""
        try:
            return cls()
        except ValidationError as error:
            raise InvalidSettings("\n".join(_sentence(each) for each in error.errors())) from error
        except InvalidSettings:
            raise
        except (ValueError, TypeError, yaml.YAMLError, OSError) as error:  # SettingsError is a ValueError
            raise InvalidSettings(f"the settings cannot be read: {error}") from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the base class passes it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(CONFIG_PATH_VARIABLE)
        sources = (init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=_by_short_names()))
        if not file:
            return sources
        if not Path(file).is_file():
            raise InvalidSettings(f"{CONFIG_PATH_VARIABLE} names {file}, which is no file")
        return (*sources, YamlConfigSettingsSource(settings_cls, yaml_file=file))


def _by_short_names() -> dict[str, dict[str, str]]:
    """The fields that the environment gives under their short names."""
    given: dict[str, dict[str, str]] = {}
    for name, (section, field) in SHORT_NAMES.items():
        if value := os.environ.get(name):
            given.setdefault(section, {})[field] = value
    return given


def _sentence(error: Any) -> str:
    """Which setting is wrong, under its names in the environment and in the file."""
    place = [str(part) for part in error["loc"]]
    if place[0].isupper():
        return f"{place[0]} ({place[0].lower()}): {error['msg']}"
    names = [f"{ENVIRONMENT_PREFIX}{'__'.join(place).upper()}"]
    names += [name for name, known in SHORT_NAMES.items() if list(known) == place]
    return f"{' or '.join(names)} ({'.'.join(place)}): {error['msg']}"
