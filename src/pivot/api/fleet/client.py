"""What the API node says to one ML node over HTTP. Every status and every body is read.

A node may be broken or taken over: every wait and every length is bounded, no redirect is followed, and nothing is
decompressed (`tls.py: session_to_ml_nodes`).
"""

from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import orjson
from pydantic import BaseModel, ValidationError

from pivot.protocol.mlnode_api import (
    MAX_ERROR_LENGTH,
    CallbackTried,
    CallbackTry,
    InferenceStatus,
    InferenceUp,
    NodeState,
    PowInit,
    PowStatus,
    TrainStart,
    TrainStatus,
    ValidateRequest,
)

LOOK_TIMEOUT_S = 3.0
"""For questions: a node that needs longer is not there."""
TRY_TIMEOUT_S = 6.0
"""For a question that the node must ask another: twice as long as it waits itself."""
COMMAND_TIMEOUT_S = 60.0
"""For commands that start or stop something."""
INFERENCE_UP_TIMEOUT_S = 1_800.0
"""Loading a large model takes minutes."""
MAX_ANSWER_BYTES = 2**20
SHOWN_ANSWER_LENGTH = 300

Payload = TypeVar("Payload", bound=BaseModel)


class MlNodeError(Exception):
    """An ML node did not do what it was asked.

    ├── MlNodeUnreachable   nobody answered, or not in time
    └── MlNodeRefused       it answered, with something else than success
    """


class MlNodeUnreachable(MlNodeError):
    """Nobody answered at the node's address, or not in time."""


class MlNodeRefused(MlNodeError):
    """The node answered with an error, or not in the agreed form."""

    def __init__(self, sentence: str, *, unauthorized: bool = False) -> None:
        super().__init__(sentence)
        self.unauthorized = unauthorized
        """It wants another bearer token."""


class MlNodeClient:
    """One ML node. Every method raises MlNodeError, if it does not say otherwise."""

    def __init__(
        self, http: aiohttp.ClientSession, management_url: str, inference_url: str, auth_token: str = ""
    ) -> None:
        self.management_url = management_url
        self.inference_url = inference_url
        self._http = http
        self._headers = {"Authorization": f"Bearer {auth_token}"} if auth_token else {}

    async def state(self) -> NodeState:
        """What the node is doing."""
        return _parsed(NodeState, await self._get("/api/v1/state"))

    async def pow_status(self) -> PowStatus:
        """How its proof of compute stands; only to be asked in the mode POW."""
        return _parsed(PowStatus, await self._get("/api/v1/pow/status"))

    async def inference_is_healthy(self) -> bool:
        """Whether the inference port answers its health check."""
        try:
            await self._call("GET", f"{self.inference_url}/health", None, LOOK_TIMEOUT_S, expect_json=False)
        except MlNodeError:
            return False
        return True

    async def served_models(self) -> frozenset[str]:
        """Ids of the models that the inference port serves."""
        answer = await self._call("GET", f"{self.inference_url}/v1/models", None, LOOK_TIMEOUT_S)
        try:
            return frozenset(str(model["id"]) for model in answer["data"])
        except (TypeError, KeyError):
            raise MlNodeRefused(f"{self.inference_url}/v1/models answered without a list of models") from None

    async def try_callback(self, url: str) -> CallbackTried:
        """What the node finds at a call-back port."""
        answer = await self._call(
            "POST", f"{self.management_url}/api/v1/callback/try", CallbackTry(url=url), TRY_TIMEOUT_S
        )
        return _parsed(CallbackTried, answer)

    async def stop(self) -> None:
        """End whatever runs."""
        await self._post("/api/v1/stop", None)

    async def inference_up(self, model: str, arguments: tuple[str, ...]) -> None:
        """Serve a model; returns when the node says that it does, at the latest after INFERENCE_UP_TIMEOUT_S."""
        request = InferenceUp(model=model, additional_args=list(arguments))
        await self._post("/api/v1/inference/up", request, timeout_s=INFERENCE_UP_TIMEOUT_S)

    async def init_generate(self, init: PowInit) -> None:
        """Begin or continue the sprint."""
        await self._post("/api/v1/pow/init/generate", init)

    async def init_validate(self, init: PowInit) -> None:
        """Be ready to check leaves."""
        await self._post("/api/v1/pow/init/validate", init)

    async def validate(self, request: ValidateRequest) -> None:
        """Check leaves; the result comes to the call-back port."""
        await self._post("/api/v1/pow/validate", request)

    async def train_start(self, request: TrainStart) -> None:
        """Start a training."""
        await self._post("/api/v1/train/start", request)

    async def inference_status(self) -> InferenceStatus | None:
        """How far the start of serving has come; None from a node that does not tell. Raises nothing: it is only shown."""
        try:
            return _parsed(InferenceStatus, await self._get("/api/v1/inference/status"))
        except MlNodeError:
            return None

    async def train_status(self) -> TrainStatus:
        """How its training stands, or how the last one ended; not to be asked while it serves or proves."""
        return _parsed(TrainStatus, await self._get("/api/v1/train/status"))

    async def _get(self, path: str) -> Any:
        return await self._call("GET", self.management_url + path, None, LOOK_TIMEOUT_S)

    async def _post(self, path: str, body: BaseModel | None, timeout_s: float = COMMAND_TIMEOUT_S) -> None:
        answer = await self._call("POST", self.management_url + path, body, timeout_s)
        if isinstance(answer, dict) and str(answer.get("status", "")).upper() == "ERROR":
            reason = str(answer.get("message") or "failed without a reason")[:MAX_ERROR_LENGTH]
            raise MlNodeRefused(f"{self.management_url}{path}: {reason}")

    async def _call(
        self, method: str, url: str, body: BaseModel | None, timeout_s: float, *, expect_json: bool = True
    ) -> Any:
        """The JSON of a 2xx answer; None for an empty body."""
        headers = dict(self._headers) if url.startswith(self.management_url) else {}
        if body:
            headers["Content-Type"] = "application/json"
        data = body.model_dump_json().encode() if body else None
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._http.request(
                method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                raw = bytearray()
                while len(raw) <= MAX_ANSWER_BYTES and (more := await answer.content.readany()):
                    raw += more
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise MlNodeUnreachable(f"{url} cannot be reached: {type(error).__name__} {error}".rstrip()) from error
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            shown = raw[:SHOWN_ANSWER_LENGTH].decode(errors="replace")
            refused = f"{url} answered {answer.status}: {shown}"
            raise MlNodeRefused(refused, unauthorized=answer.status == HTTPStatus.UNAUTHORIZED)
        if len(raw) > MAX_ANSWER_BYTES:
            raise MlNodeRefused(f"{url} answered with more than {MAX_ANSWER_BYTES} bytes")
        if not raw or not expect_json:
            return None
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise MlNodeRefused(f"{url} answered with something else than JSON") from None


def _parsed(kind: type[Payload], document: Any) -> Payload:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise MlNodeRefused(f"an ML node's answer is no {kind.__name__}: {error.error_count()} faults") from error
