"""Settings of the API node: a YAML file (`API_CONFIG_PATH`), overridden by `DAPI_SECTION__FIELD` variables."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

CONFIG_PATH_VARIABLE = "API_CONFIG_PATH"
LOOPBACK = "127.0.0.1"
DEFAULT_REQUEST_LIMIT = 10 * 2**20


class HttpSettings(BaseModel):
    """Where the API node listens, and how others reach it (section `api`)."""

    public_url: str = "http://127.0.0.1:9000"
    """Address that is registered on the chain."""
    public_server_host: str = "0.0.0.0"  # noqa: S104  the public port is public
    public_server_port: int = 9000
    ml_server_host: str = LOOPBACK
    ml_server_port: int = 9100
    admin_server_host: str = LOOPBACK
    admin_server_port: int = 9200
    poc_callback_url: str = "http://127.0.0.1:9100"
    """Address under which ML nodes reach the call-back port."""
    api_keys: Annotated[list[str], NoDecode] = []
    """Keys of developers for whom the gateway account pays; comma-separated in the environment."""
    admin_token: str = ""
    """Bearer token of the admin port; demanded when it is bound to a public address."""
    callback_token: str = ""
    """Bearer token of the call-back port; made by the node itself when empty."""
    allow_private_urls: bool = False
    """Whether other hosts' URLs may lie on loopback or private networks (a devnet)."""
    max_request_bytes: int = DEFAULT_REQUEST_LIMIT

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [key.strip() for key in value.split(",") if key.strip()] if isinstance(value, str) else value


class ChainNodeSettings(BaseModel):
    """The chain node that this API node trusts (section `chain_node`)."""

    url: str = "http://127.0.0.1:26657"
    grpc_url: str = "127.0.0.1:9090"
    rest_url: str = "http://127.0.0.1:1317"
    seed_api_url: str = ""
    """An existing API node that forwards this host's registration when its account does not exist yet."""


class ApiSettings(BaseSettings):
    """All settings. Variables win over the file."""

    model_config = SettingsConfigDict(env_prefix="DAPI_", env_nested_delimiter="__", extra="ignore")

    home: Path = Path.home() / ".pivot" / "api"
    """Keys, database, leaves of proof of compute."""
    database_url: Annotated[str, Field(validation_alias="DATABASE_URL")] = ""
    """SQLAlchemy URL; empty: SQLite in `home`."""
    node_config_path: Annotated[Path | None, Field(validation_alias="NODE_CONFIG_PATH")] = None
    """JSON list of ML nodes that is loaded on the first start only."""
    api: HttpSettings = HttpSettings()
    chain_node: ChainNodeSettings = ChainNodeSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(CONFIG_PATH_VARIABLE)
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        return (*sources, YamlConfigSettingsSource(settings_cls, yaml_file=file)) if file else sources
