"""What the API node and the ML node say to each other over HTTP.

The management routes keep the published shapes; the proof-of-compute payloads are Pivot's own
(docs/protocol/poc.md). Fields that a receiver does not know are ignored, so that the two sides can be
upgraded one after the other. Nothing here does I/O.
"""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum
from math import isfinite
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic_core import to_json

from pivot.protocol.sprint import FINGERPRINT_BYTES, MAX_INDEX, MAX_NODE_NUMBER, SEED_BYTES, SPRINT_PRESETS

MAX_BATCH_LEAVES = 16_384
"""Most fingerprints in one generated batch (512 KiB before base64)."""
MAX_VALIDATE_LEAVES = 4_096
"""Most leaves in one request to validate."""
MAX_IDENTIFIER_LENGTH = 200
MAX_URL_LENGTH = 2_000
MAX_TOKEN_LENGTH = 4_000
MAX_ARGUMENTS = 256
MAX_ERROR_LENGTH = 1_000
MAX_WARNINGS = 100
MAX_TRAIN_CONFIG_BYTES = 64 * 1024
MAX_TRAIN_CONFIG_DEPTH = 8
MAX_NUMBER_LENGTH = 20
MAX_EPOCH = 2**63 - 1
TRAIN_NUMBERS = frozenset(
    {
        "TASK_ID",
        "GLOBAL_PORT",
        "GLOBAL_RANK",
        "GLOBAL_UNIQUE_ID",
        "GLOBAL_WORLD_SIZE",
        "BASE_PORT",
    }
)
"""Variables of a training that are whole numbers."""
TRAIN_VARIABLES = TRAIN_NUMBERS | {"NODE_ID", "STORE_API_URL", "STORE_TOKEN", "GLOBAL_ADDR"}
"""All variables that a caller may set for a training. Whatever else a job finds in its environment is its host's."""

_HOST = re.compile(r"[0-9A-Za-z:][0-9A-Za-z.:_-]*")
"""Another host has declared it, and a job's script may have it stand on a command's line: no space, no sign of a shell, no option."""
_MAX_BASE64_LENGTH = 4 * ((MAX_BATCH_LEAVES * FINGERPRINT_BYTES + 2) // 3)

Identifier = Annotated[str, Field(min_length=1, max_length=MAX_IDENTIFIER_LENGTH)]
Height = Annotated[int, Field(ge=0, le=MAX_EPOCH)]
Nonce = Annotated[int, Field(ge=0, le=MAX_EPOCH)]
NodeNumber = Annotated[int, Field(ge=0, le=MAX_NODE_NUMBER)]
LeafIndex = Annotated[int, Field(ge=0, le=MAX_INDEX)]
Base64 = Annotated[str, Field(max_length=_MAX_BASE64_LENGTH)]
Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)]


class Mode(StrEnum):
    """What an ML node is doing; exactly one at a time."""

    STOPPED = "STOPPED"
    POW = "POW"
    INFERENCE = "INFERENCE"
    TRAIN = "TRAIN"


class PowState(StrEnum):
    """Inside the mode POW: what the proof-of-compute workers are doing."""

    NOT_LOADED = "NOT_LOADED"
    LOADING = "LOADING"
    IDLE = "IDLE"
    GENERATING = "GENERATING"
    VALIDATING = "VALIDATING"


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PowInit(_Payload):
    """Body of `/pow/init/generate` and `/pow/init/validate`: which sprint, for whom, and where results go."""

    node_id: NodeNumber
    """The node number: stable, unique among the host's ML nodes."""
    preset: str
    sprint_seed: str
    """32 bytes in hex."""
    epoch: Height
    host_address: Identifier
    block_height: Height
    url: Url
    """Call-back base; `/generated` or `/validated` is appended."""
    token: Annotated[str, Field(max_length=MAX_TOKEN_LENGTH)] = ""
    """Bearer token for the call-backs; empty for none."""
    max_rate: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Most passes per second; 0 for no cap."""
    first_index: LeafIndex = 0
    """Where to go on after a restart: leaves below this are already with the API node."""
    blocks: Height = 0
    """How many blocks long the sprint is; 0 when that is not told."""
    blocks_late: Height = 0
    """How many of them had passed when this was sent. Counted in blocks: machines' clocks need not agree on those."""

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str) -> str:
        if value not in SPRINT_PRESETS:
            raise ValueError(f"unknown preset {value!r}; known are {', '.join(sorted(SPRINT_PRESETS))}")
        return value

    @field_validator("sprint_seed")
    @classmethod
    def _seed_is_hex(cls, value: str) -> str:
        if len(value) != 2 * SEED_BYTES or any(c not in "0123456789abcdefABCDEF" for c in value):
            raise ValueError(f"sprint_seed must be {2 * SEED_BYTES} hex digits")
        return value.lower()

    @field_validator("url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        return require_http_url(value)

    @property
    def seed(self) -> bytes:
        """The sprint seed as bytes."""
        return bytes.fromhex(self.sprint_seed)


class GeneratedBatch(_Payload):
    """Body of `url/generated`: the fingerprints of consecutive leaves. Idempotent by `batch_id`."""

    epoch: Height
    host_address: Identifier
    node_id: NodeNumber
    batch_id: Identifier
    first_index: LeafIndex
    fingerprints: Base64
    """base64 of int16 x 16 x n, little-endian."""

    @field_validator("fingerprints")
    @classmethod
    def _whole_fingerprints(cls, value: str) -> str:
        if len(decode_base64(value)) % FINGERPRINT_BYTES:
            raise ValueError(f"fingerprints must be a whole number of {FINGERPRINT_BYTES}-byte fingerprints")
        return value

    @property
    def count(self) -> int:
        """Number of leaves in this batch."""
        return len(decode_base64(self.fingerprints)) // FINGERPRINT_BYTES

    def leaves(self) -> list[bytes]:
        """The fingerprints one by one, 32 bytes each, in the order of their indices."""
        return split_fingerprints(self.fingerprints)


class ValidateRequest(_Payload):
    """Body of `/pow/validate`: leaves of any host to compute again."""

    batch_id: Identifier
    host_address: Identifier
    nonces: Annotated[list[Nonce], Field(min_length=1, max_length=MAX_VALIDATE_LEAVES)]
    fingerprints: Base64
    """What the host claims: base64 of int16 x 16 x n, little-endian, in the order of `nonces`."""
    epoch: Height | None = None
    """Of the sprint whose leaves they are, to be refused when another one is loaded; None when that is not told."""
    sprint_seed: Annotated[str, Field(max_length=2 * SEED_BYTES)] | None = None
    """The seed of that sprint, likewise, in hex."""

    @model_validator(mode="after")
    def _one_fingerprint_per_nonce(self) -> Self:
        if len(decode_base64(self.fingerprints)) != len(self.nonces) * FINGERPRINT_BYTES:
            raise ValueError(f"fingerprints must hold {FINGERPRINT_BYTES} bytes for each nonce")
        if len(set(self.nonces)) != len(self.nonces):
            raise ValueError("a nonce occurs twice")
        return self

    def leaves(self) -> list[bytes]:
        """The claimed fingerprints one by one, 32 bytes each."""
        return split_fingerprints(self.fingerprints)


class ValidatedBatch(_Payload):
    """Body of `url/validated`: how far each claimed fingerprint is from the recomputed one."""

    batch_id: Identifier
    distances: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MAX_VALIDATE_LEAVES)]
    """Per leaf, in 2**-12 units, as `sprint.distance` counts it."""


class InferenceUp(_Payload):
    """Body of `/inference/up`."""

    model: Annotated[str, Field(min_length=1, max_length=MAX_IDENTIFIER_LENGTH)]
    dtype: Annotated[str, Field(max_length=MAX_IDENTIFIER_LENGTH, pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*$")] = "float16"
    """A word: an engine gets it as an argument, and it must not be another one."""
    additional_args: Annotated[list[str], Field(max_length=MAX_ARGUMENTS)] = []


class NodeState(_Payload):
    """Answer of `/state`."""

    state: Mode
    error: str | None = None
    """Why the last activity could not start or ended by itself, in a sentence; absent after a stop on request."""
    warnings: Annotated[list[Annotated[str, Field(max_length=MAX_ERROR_LENGTH)]], Field(max_length=MAX_WARNINGS)] = []
    """What is not as it should be while the node works on: a sentence each."""


class CallbackTry(_Payload):
    """Body of `/callback/try`: a call-back base, as in a sprint's `url` without its path."""

    url: Url

    @field_validator("url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        return require_http_url(value)


class CallbackTried(_Payload):
    """Answer of `/callback/try`."""

    status: Annotated[int, Field(ge=0, le=999)] = 0
    """HTTP status of what answered there; 0 when nobody did."""
    error: Annotated[str, Field(max_length=MAX_ERROR_LENGTH)] = ""
    """Why nobody did."""


class Done(_Payload):
    """Answer of routes that have nothing else to say."""

    status: Literal["OK"] = "OK"


class Failed(_Payload):
    """Answer of `/inference/up`, with HTTP status 500, when the engine did not come up."""

    status: Literal["ERROR"] = "ERROR"
    message: str


class PowWorker(_Payload):
    """One worker process of the proof of compute."""

    devices: list[str]
    """What it runs on; none: the CPU."""
    backend: str | None = None
    """What computes; absent until its model has stood once."""
    batch: int
    """Leaves that go through the model together."""
    ready: bool
    """Whether its model stands now."""
    given_up: bool = False
    """Whether it failed too often and does nothing more in this sprint."""
    restarts: int = 0
    error: str | None = None
    """Why it last failed, in a sentence."""


class PowStatus(_Payload):
    """Answer of `/pow/status`. Everything but `status` is absent while nothing is loaded."""

    status: PowState
    is_model_initialized: bool | None = None
    epoch: int | None = None
    preset: str | None = None
    next_index: int | None = None
    """One more than the last leaf whose batch the API node has taken, without gaps."""
    restarts: int | None = None
    """How often worker processes had to be started again."""
    error: str | None = None
    """What last failed, in a sentence: a worker, a call-back, the journal on the disk."""
    rate: float | None = None
    """Passes per second over the last ten seconds."""
    computed: int | None = None
    """One more than the last leaf that is computed, without gaps."""
    acknowledged: int | None = None
    """Leaves that the API node has taken since it told the node to begin, or to go on."""
    waiting: int | None = None
    """Leaves that are computed and not taken yet; while validating, also those that wait to be checked."""
    workers: list[PowWorker] | None = None
    """One per group of devices."""


class PowEnvelope(_Payload):
    """Answer of the routes that change the proof of compute."""

    status: Literal["OK"] = "OK"
    pow_status: PowStatus


class TrainStart(_Payload):
    """Body of `/train/start`. What is run is the host's own choice; a caller gives its configuration and its place."""

    train_config: dict[str, JsonValue]
    """Handed to the job as `train_config.toml`: no nulls, no infinite numbers."""
    train_env: dict[str, Annotated[str, Field(max_length=MAX_TOKEN_LENGTH)]] = {}
    """Variables of the published names only (`TRAIN_VARIABLES`)."""

    @field_validator("train_config")
    @classmethod
    def _bounded_config(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        _require_plain(value, MAX_TRAIN_CONFIG_DEPTH)
        if len(to_json(value)) > MAX_TRAIN_CONFIG_BYTES:
            raise ValueError(f"train_config is larger than {MAX_TRAIN_CONFIG_BYTES} bytes")
        return value

    @field_validator("train_env")
    @classmethod
    def _published_variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if name not in TRAIN_VARIABLES:
                raise ValueError(f"{name!r} may not be set; variables are {', '.join(sorted(TRAIN_VARIABLES))}")
            if any(not " " <= character <= "~" for character in text):
                raise ValueError(f"{name} holds a character that is not printable ASCII")
            if name == "GLOBAL_ADDR" and not _HOST.fullmatch(text):
                raise ValueError("GLOBAL_ADDR must be the name or the address of a machine")
            if name in TRAIN_NUMBERS and not (text.isascii() and text.isdecimal() and len(text) <= MAX_NUMBER_LENGTH):
                raise ValueError(f"{name} must be a whole number")
        return value


class TrainStatus(_Payload):
    """Answer of `/train/status`. Everything but `status` is absent until a training has been started."""

    status: bool
    """Whether a training runs."""
    task_id: str | None = None
    exit_code: int | None = None
    """Of the last training, once it has ended by itself; 0 when it has finished its work, negative for a signal."""
    last_line: str | None = None
    """The last line that it wrote."""
    lines: list[str] | None = None
    """Its last lines, oldest first."""


def require_http_url(value: str) -> str:
    """The URL without a slash at its end. Raises ValueError with a sentence for another scheme."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("url must start with http:// or https://")
    return value.rstrip("/")


def _require_plain(value: JsonValue, depth: int) -> None:
    """Refuse what TOML cannot hold. Raises ValueError with a sentence."""
    if depth < 0:
        raise ValueError(f"train_config is nested deeper than {MAX_TRAIN_CONFIG_DEPTH} levels")
    if value is None:
        raise ValueError("train_config holds a null")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("train_config holds a number that is not finite")
    if isinstance(value, int) and abs(value) > MAX_EPOCH:
        raise ValueError("train_config holds a number beyond 64 bits")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _require_plain(part, depth - 1)


def decode_base64(text: str) -> bytes:
    """The bytes of strict base64. Raises ValueError with a sentence when the text is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error


def encode_fingerprints(fingerprints: bytes) -> str:
    """Fingerprint bytes, 32 per leaf, as they travel in JSON."""
    return base64.b64encode(fingerprints).decode("ascii")


def split_fingerprints(text: str) -> list[bytes]:
    """The fingerprints in a base64 text, 32 bytes each."""
    data = decode_base64(text)
    return [data[i : i + FINGERPRINT_BYTES] for i in range(0, len(data), FINGERPRINT_BYTES)]


class InferenceState(StrEnum):
    """How serving stands. Only `ready` and `degraded` answer requests."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """Some instances serve while others are down or being restarted."""
    PARKED = "parked"
    """The model is not served, but its weights are kept in the machine's memory for the next start."""
    FAILED = "failed"


class InferenceInstance(_Payload):
    """One process that serves the model on some of the machine's devices."""

    port: Annotated[int, Field(ge=0, le=2**16 - 1)]
    """On loopback only; 0 while it has none."""
    devices: list[str] = []
    """As in CUDA_VISIBLE_DEVICES; empty on a CPU."""
    healthy: bool
    """Whether requests are given to it."""
    busy: Annotated[int, Field(ge=0)]
    """Requests that it answers now."""
    restarts: Annotated[int, Field(ge=0)]
    error: str | None = None
    """Why it last ended, in a sentence."""


class InferenceStatus(_Payload):
    """Answer of `/inference/status`, whatever the node is doing."""

    state: InferenceState
    model: str | None = None
    stage: str = ""
    """What is being done, in a few words, as the engine's log tells it."""
    progress: Annotated[float, Field(ge=0, le=1)] = 0
    """How far the start has come; 1 once all instances serve."""
    instances: list[InferenceInstance] = []
    unused_devices: list[str] = []
    """Devices that are left over, since the model's parallel sizes leave no whole group of them."""
    note: str | None = None
    """Why weights were not kept when serving ended last, or were loaded again although they had been, in a sentence."""
    error: str | None = None
    """Why serving failed, in a sentence."""
