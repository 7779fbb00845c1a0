"""The engine's folder: its keys, its configuration, the genesis document.

Only what differs from CometBFT's defaults is written. Any setting can be changed by the environment in the published
form `CONFIG_section__key=value` (`CONFIG_p2p__allow_duplicate_ip=true`; no section: `CONFIG_moniker=…`).
"""

import base64
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pivot.node.errors import TwoConsensusKeys
from pivot.primitives.addresses import consensus_address
from pivot.primitives.hashes import sha256

OVERRIDE_PREFIX = "CONFIG_"
PRIVATE_FILE_MODE = 0o600
BLOCK_MAX_BYTES = 4 * 2**20
GOSSIP_PAUSE = "10ms"
"""Between two looks at what a peer lacks, and between two writes to it. At the engine's own 100ms for each, a node that is no
validator receives three blocks a second at most, and on a fast chain falls ever further behind."""
BLOCK_MAX_GAS = 100_000_000
"""Some five full batches of inferences, or four thousand transfers."""
EVIDENCE_MAX_AGE_BLOCKS = 100_000
EVIDENCE_MAX_AGE_NS = 172_800 * 10**9
UNUSED_KEY_FILES = {
    "priv_validator_key_file": "data/unused_consensus_key.json",
    "priv_validator_state_file": "data/unused_consensus_state.json",
}
"""With a signer the engine still makes itself a key, with which nothing is ever signed: it goes here, so that neither
looks like, nor writes over, a key of the engine's own and what that signed last."""

Config = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class EngineHome:
    """Paths inside one engine's folder."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config" / "config.toml"

    @property
    def genesis_file(self) -> Path:
        return self.path / "config" / "genesis.json"

    @property
    def consensus_key_file(self) -> Path:
        return self.path / "config" / "priv_validator_key.json"

    def make_keys(self, *, with_consensus_key: bool = True) -> None:
        """Node key and, unless a signer has it, consensus key, made once; existing ones are left alone."""
        (self.path / "config").mkdir(parents=True, exist_ok=True)
        (self.path / "data").mkdir(exist_ok=True)
        if not (node_key := self.path / "config" / "node_key.json").exists():
            _write_private(node_key, {"priv_key": _private_document(Ed25519PrivateKey.generate())})
        if with_consensus_key and not self.consensus_key_file.exists():
            key = Ed25519PrivateKey.generate()
            public = key.public_key().public_bytes_raw()
            document = {
                "address": consensus_address(public).hex().upper(),
                "pub_key": public_document(public),
                "priv_key": _private_document(key),
            }
            _write_private(self.consensus_key_file, document)
        if not (state := self.path / "data" / "priv_validator_state.json").exists():
            _write_private(state, {"height": "0", "round": 0, "step": 0})

    def consensus_key(self) -> bytes:
        """The public consensus key, 32 bytes."""
        document = json.loads(self.consensus_key_file.read_text())
        return base64.b64decode(document["pub_key"]["value"])

    def signed_last(self) -> dict[str, Any]:
        """Height, round and step (1 proposal, 2 prevote, 3 precommit) of what the engine signed last with its own key."""
        document: dict[str, Any] = json.loads((self.path / "data" / "priv_validator_state.json").read_text())
        return document

    def config(self) -> Config:
        """The settings as they are written; what stands above the first section is under the empty name."""
        document = tomllib.loads(self.config_file.read_text())
        sections = {name: value for name, value in document.items() if isinstance(value, dict)}
        return {"": {name: value for name, value in document.items() if name not in sections}, **sections}

    def check_one_consensus_key(self) -> None:
        """Refuse a consensus key beside a signer: the same key in two places signs twice. Raises TwoConsensusKeys."""
        signer = self.config()[""].get("priv_validator_laddr")
        if signer and self.consensus_key_file.exists():
            raise two_consensus_keys(self, signer)

    def node_id(self) -> str:
        """The name under which peers know this engine: hex of the first 20 bytes of SHA-256 of its node key."""
        document = json.loads((self.path / "config" / "node_key.json").read_text())
        private = base64.b64decode(document["priv_key"]["value"])
        return sha256(private[32:])[:20].hex()

    def write_config(self, config: Config, environment: Mapping[str, str] | None = None) -> None:
        """Write config.toml, with the `CONFIG_…` variables of the environment on top."""
        merged = {section: dict(values) for section, values in config.items()}
        for name, value in (os.environ if environment is None else environment).items():
            if name.startswith(OVERRIDE_PREFIX):
                section, _, key = name.removeprefix(OVERRIDE_PREFIX).rpartition("__")
                merged.setdefault(section, {})[key] = _parse(value)
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(_toml(merged))


def two_consensus_keys(home: EngineHome, signer: str) -> TwoConsensusKeys:
    """What is told of a consensus key beside a signer."""
    return TwoConsensusKeys(
        f"{home.consensus_key_file} exists although a signer is configured (priv_validator_laddr = {signer}): "
        "`pivot node import-key` gives it to the signer, which alone may hold it"
    )


def engine_config(
    *,
    moniker: str,
    abci_socket: Path,
    rpc: str,
    p2p: str,
    timeout_commit: str,
    peers: list[str],
    on_one_machine: bool,
    signer: str = "",
) -> Config:
    """What Pivot sets. `rpc`, `p2p` and `signer` are `host:port` to listen on (the signer's empty: the engine's own key
    signs); `peers` are `id@host:port`.
    """
    key = {"priv_validator_laddr": f"tcp://{signer}", **UNUSED_KEY_FILES} if signer else {}
    return {
        "": {"moniker": moniker, "proxy_app": f"unix://{abci_socket}", "abci": "socket", "log_format": "json", **key},
        "rpc": {"laddr": f"tcp://{rpc}", "max_body_bytes": 2_000_000, "max_subscriptions_per_client": 20},
        "p2p": {
            "laddr": f"tcp://{p2p}",
            "persistent_peers": ",".join(peers),
            "addr_book_strict": not on_one_machine,
            "allow_duplicate_ip": on_one_machine,
            "pex": not on_one_machine,
            "flush_throttle_timeout": GOSSIP_PAUSE,
        },
        "consensus": {"timeout_commit": timeout_commit, "peer_gossip_sleep_duration": GOSSIP_PAUSE},
        "tx_index": {"indexer": "kv"},
    }


def genesis_document(
    chain_id: str, genesis_time: str, validators: Mapping[bytes, int], app_state: dict[str, Any]
) -> dict[str, Any]:
    """A genesis document. `genesis_time` in RFC 3339; `validators` maps consensus keys (32 bytes) to powers."""
    return {
        "genesis_time": genesis_time,
        "chain_id": chain_id,
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": str(BLOCK_MAX_BYTES), "max_gas": str(BLOCK_MAX_GAS)},
            "evidence": {
                "max_age_num_blocks": str(EVIDENCE_MAX_AGE_BLOCKS),
                "max_age_duration": str(EVIDENCE_MAX_AGE_NS),
                "max_bytes": "1048576",
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "0"},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": [
            {
                "address": consensus_address(key).hex().upper(),
                "pub_key": public_document(key),
                "power": str(power),
                "name": "",
            }
            for key, power in validators.items()
        ],
        "app_hash": "",
        "app_state": app_state,
    }


def public_document(key: bytes) -> dict[str, str]:
    """A public consensus key as CometBFT writes it."""
    return {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(key).decode()}


def _private_document(key: Ed25519PrivateKey) -> dict[str, str]:
    raw = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return {"type": "tendermint/PrivKeyEd25519", "value": base64.b64encode(raw).decode()}


def _write_private(path: Path, document: dict[str, Any]) -> None:
    path.touch(mode=PRIVATE_FILE_MODE)
    path.write_text(json.dumps(document, indent=2))


def _parse(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if text.lstrip("-").isdigit() else text


def _toml(config: Config) -> str:
    """The few types that CometBFT's settings have: text, whole numbers, truth values, lists of text."""
    lines: list[str] = []
    for section, values in sorted(config.items()):
        lines += [f"\n[{section}]"] if section else []
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
