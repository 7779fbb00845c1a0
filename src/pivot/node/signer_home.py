"""The remote signer's folder: the consensus key, the key of its connection, what it signed last, `tmkms.toml`.

The signer dials the engine (`priv_validator_laddr`). Of all processes it alone can read the consensus key, and it alone
remembers what was signed: this folder is never restored from a copy while another signer has the same key.
"""

import base64
import json
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pivot.node.engine_home import EngineHome
from pivot.node.errors import SignerRefused
from pivot.node.exclusive import command_under_lock

PROTOCOL_VERSION = "v0.38"
PRIVATE_FOLDER_MODE = 0o700
PRIVATE_FILE_MODE = 0o600
COMMAND_TIMEOUT_SECONDS = 20
NO_BLOCK = {"hash": "", "parts": {"total": 0, "hash": ""}}
"""How tmkms writes that it does not know which block it signed: it then refuses to sign that step again."""

_CONFIG = """\
[[chain]]
id = {chain_id}
key_format = {{ type = "bech32", account_key_prefix = "gonkapub", consensus_key_prefix = "gonkavalconspub" }}
state_file = {state_file}

[[providers.softsign]]
chain_ids = [{chain_id}]
key_type = "consensus"
path = {consensus_key}

[[validator]]
chain_id = {chain_id}
addr = {address}
secret_key = {connection_key}
protocol_version = {protocol_version}
reconnect = true
"""


@dataclass(frozen=True)
class SignerHome:
    """Paths inside one signer's folder."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "tmkms.toml"

    @property
    def consensus_key_file(self) -> Path:
        return self.path / "secrets" / "consensus.key"

    @property
    def connection_key_file(self) -> Path:
        return self.path / "secrets" / "connection.key"

    @property
    def state_file(self) -> Path:
        return self.path / "state" / "consensus.json"

    @property
    def retired_key_file(self) -> Path:
        """Where the engine's key file lies after its key was imported: to be kept elsewhere, or deleted."""
        return self.path / "imported" / "priv_validator_key.json"

    def has_key(self) -> bool:
        return self.consensus_key_file.exists()

    def consensus_key(self) -> bytes:
        """The public consensus key, 32 bytes."""
        seed = base64.b64decode(self.consensus_key_file.read_text())
        return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()

    def make_keys(self, tmkms: Path) -> None:
        """A consensus key and a connection key, made once by tmkms itself. Raises SignerRefused."""
        self._make_folders()
        for file in (self.consensus_key_file, self.connection_key_file):
            if not file.exists():
                _run(tmkms, "softsign", "keygen", str(file))

    def take_key(self, tmkms: Path, engine: EngineHome) -> None:
        """Import the engine's consensus key with what it signed last, then move its key file out of the engine's folder.

        Does nothing where the engine has no key file. It may be cut short anywhere and run again. Raises SignerRefused,
        also when the signer has a key that is not the engine's. Of two memories of what was signed the later one stays.
        """
        if not engine.consensus_key_file.exists():
            return
        self._make_folders()
        self.require_same(engine)
        last = _signed_last(engine)
        if not self.state_file.exists() or _place(json.loads(self.state_file.read_text())) < _place(last):
            partial = self.state_file.with_suffix(".partial")
            partial.write_text(json.dumps(last))
            partial.replace(self.state_file)
        if not self.has_key():
            partial = self.consensus_key_file.with_suffix(".partial")
            _run(tmkms, "softsign", "import", str(engine.consensus_key_file), str(partial))
            partial.replace(self.consensus_key_file)
        engine.consensus_key_file.replace(self.retired_key_file)
        self.make_keys(tmkms)

    def require_same(self, engine: EngineHome, chain_id: str = "") -> None:
        """Refuse a signer that has another key than the engine, or signs for another chain. Raises SignerRefused."""
        if self.has_key() and self.consensus_key() != engine.consensus_key():
            raise SignerRefused(f"{self.consensus_key_file} holds another key than {engine.consensus_key_file}")
        if chain_id and (known := self.chain_id()) not in {None, chain_id}:
            raise SignerRefused(f"the signer in {self.path} signs for {known}, not for {chain_id}")

    def chain_id(self) -> str | None:
        """The chain for which the signer signs; None before its first start."""
        if not self.config_file.exists():
            return None
        return str(tomllib.loads(self.config_file.read_text())["chain"][0]["id"])

    def write_config(self, chain_id: str, address: str) -> None:
        """Write `tmkms.toml`. `address` is the `host:port` at which the engine waits for its signer."""
        text = _CONFIG.format(
            chain_id=json.dumps(chain_id),
            state_file=json.dumps(str(self.state_file)),
            consensus_key=json.dumps(str(self.consensus_key_file)),
            connection_key=json.dumps(str(self.connection_key_file)),
            address=json.dumps(f"tcp://{address}"),
            protocol_version=json.dumps(PROTOCOL_VERSION),
        )
        self._make_folders()
        partial = self.config_file.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(self.config_file)

    def command(self, tmkms: Path) -> list[str]:
        """What runs the signer; a second one over the same folder ends at once with a sentence."""
        return command_under_lock(self.path / "lock", [str(tmkms), "start", "--config", str(self.config_file)])

    def _make_folders(self) -> None:
        for folder in (self.path, self.path / "secrets", self.path / "state", self.path / "imported"):
            folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)


def _signed_last(engine: EngineHome) -> dict[str, object]:
    """The engine's last signature in tmkms's form. The engine counts its steps from 1, tmkms from 0."""
    last = engine.signed_last()
    return {
        "height": str(last["height"]),
        "round": str(last["round"]),
        "step": max(0, int(last["step"]) - 1),
        "block_id": NO_BLOCK,
    }


def _place(signed: Mapping[str, Any]) -> tuple[int, int, int]:
    """Height, round and step of a signature, in tmkms's form."""
    return int(signed["height"]), int(signed["round"]), int(signed["step"])


def _run(tmkms: Path, *arguments: str) -> None:
    answer = subprocess.run(
        [tmkms, *arguments], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS, check=False
    )
    if answer.returncode:
        words = (answer.stderr or answer.stdout).strip()
        raise SignerRefused(f"tmkms {' '.join(arguments)} failed: {words}")
