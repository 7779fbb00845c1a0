"""Who asks, and whether the request is really theirs.

Two ways in: an API key of this node, for which its gateway account signs and pays; or the developer's own signature in the
published form of gonka-openai 0.2.6 (docs/protocol/requests.md). The signature is the inference's id.
"""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pivot.api.http.errors import BadRequest, OutsideTimeWindow, Unauthorized
from pivot.api.identity import Identity
from pivot.api.inference.request import Request
from pivot.api.keys.issued import IssuedKey, IssuedKeys
from pivot.api.phases import Moment
from pivot.primitives import addresses, keys
from pivot.primitives.addresses import InvalidAddress
from pivot.primitives.keys import InvalidSignature
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch
from pivot.protocol.signing import developer_sign_bytes

NANOSECONDS = 10**9
MAX_TIMESTAMP_DIGITS = 19
DEFAULT_WINDOW_SECONDS = 10
"""What the published network takes a parameter of 0 for."""
BEARER = "bearer "
MAX_KNOWN_KEYS = 65_536

Headers = Mapping[bytes, bytes]
"""Of an HTTP request, names in lower case."""


@dataclass(frozen=True)
class Claim:
    """What a developer who signs says of itself; whether it is true, its request's body will show."""

    address: str
    signature: bytes
    timestamp_ns: int


@dataclass(frozen=True)
class Order:
    """A request with the signature of the account that pays for it."""

    requested_by: str
    public_key: bytes
    signature: bytes
    timestamp_ns: int
    api_key: IssuedKey | None = None
    """For which the gateway account signs."""

    @property
    def inference_id(self) -> str:
        """The signature in base64."""
        return base64.b64encode(self.signature).decode()


class Access:
    """Turns a request into an order, or refuses it."""

    def __init__(self, identity: Identity, issued: IssuedKeys, wall_clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._identity = identity
        self._issued = issued
        self._wall_clock_ns = wall_clock_ns
        self._last_stamp = 0
        self._known_keys: dict[str, bytes] = {}

    def admit(self, headers: Headers, moment: Moment) -> Claim | IssuedKey:
        """What a developer claims who signs, or the API key of this node that the request brings. All else is refused.

        All that can be known before the body is read. Raises Unauthorized, BadRequest, OutsideTimeWindow.
        """
        authorization = _text(headers, b"authorization")
        if not authorization:
            raise Unauthorized("Authorization is required")
        if authorization[: len(BEARER)].lower() == BEARER:
            return self._issued.find(authorization[len(BEARER) :].strip())
        address = _text(headers, b"x-requester-address")
        if not address:
            raise Unauthorized("X-Requester-Address is required with a signature")
        timestamp_ns = _timestamp(_text(headers, b"x-timestamp"))
        try:
            claim = Claim(addresses.require(address), keys.decode_signature(authorization), timestamp_ns)
        except (InvalidSignature, InvalidAddress) as error:
            raise Unauthorized(f"Unable to validate request against PubKey: {error}") from None
        require_in_window(timestamp_ns, moment)
        return claim

    def identify(self, admitted: Claim | IssuedKey, request: Request, moment: Moment) -> Order:
        """The order of an admitted request to this node as transfer agent. Raises Unauthorized, BadRequest."""
        if isinstance(admitted, IssuedKey):
            return self._gateway_order(admitted, request, moment)
        public_key = self.signer(admitted, request.body, request.body_hash)
        if request.choices != 1:
            raise BadRequest("n must be 1: a signature pays for one answer; with an API key it may be more", param="n")
        return Order(admitted.address, public_key, admitted.signature, admitted.timestamp_ns)

    def signer(self, claim: Claim, body: bytes, body_hash: str) -> bytes:
        """The public key of who signed this body for this node. Raises Unauthorized."""
        signed = developer_sign_bytes(body_hash, claim.timestamp_ns, self._identity.address)
        public_key = self._signer(claim.address, signed, claim.signature)
        if public_key is None:
            raise Unauthorized(self._why_not(claim, body))
        return public_key

    def _gateway_order(self, key: IssuedKey, request: Request, moment: Moment) -> Order:
        """Signed by the gateway account. Its stamps rise strictly, so no two signatures are the same.

        They stay inside the window even if blocks lag behind this machine's clock, or the clock behind the blocks.
        """
        behind_ns, ahead_ns = time_window(moment.effective)
        block_ns = moment.head.time_ns
        now_ns = min(max(self._wall_clock_ns(), block_ns - behind_ns // 2), block_ns + ahead_ns // 2)
        self._last_stamp = max(self._last_stamp + 1, now_ns)
        gateway = self._identity.gateway
        signed = developer_sign_bytes(request.body_hash, self._last_stamp, self._identity.address)
        return Order(gateway.address, gateway.public_key, gateway.sign(signed), self._last_stamp, key)

    def _signer(self, address: str, signed: bytes, signature: bytes) -> bytes | None:
        """The address's key if it made the signature. Recovering a key costs thrice a check with a known one."""
        known = self._known_keys.get(address)
        if known is not None:
            return known if keys.verify(known, signed, signature) else None
        public_key = _recover(address, signed, signature)
        if public_key is not None:
            self._known_keys[address] = public_key
            if len(self._known_keys) > MAX_KNOWN_KEYS:
                del self._known_keys[next(iter(self._known_keys))]
        return public_key

    def _why_not(self, claim: Claim, body: bytes) -> str:
        tail = f"{claim.timestamp_ns}{self._identity.address}".encode()
        if any(_recover(claim.address, form, claim.signature) for form in (body, body + tail)):
            return (
                "this signature covers the raw body, an older form that is no longer taken: upgrade gonka-openai to "
                "0.2.6 or later (pip), or ask a host for an API key if there is no such version for your language; "
                "what is signed now is hex(SHA-256(body)) + timestamp + transfer address"
            )
        return (
            f"Unable to validate request against PubKey: the signature was not made by {claim.address} over this body, "
            f"X-Timestamp {claim.timestamp_ns} and the transfer address {self._identity.address}"
        )


def time_window(epoch: Epoch) -> tuple[int, int]:
    """How far a time stamp may lie behind and ahead of the latest block's time, in nanoseconds."""
    params = epoch.params.validation_params
    behind = params.timestamp_expiration or DEFAULT_WINDOW_SECONDS
    ahead = params.timestamp_advance or DEFAULT_WINDOW_SECONDS
    return behind * NANOSECONDS, ahead * NANOSECONDS


def require_in_window(timestamp_ns: int, moment: Moment) -> None:
    """Raises OutsideTimeWindow, with the published sentences."""
    behind_ns, ahead_ns = time_window(moment.effective)
    age_ns = moment.head.time_ns - timestamp_ns
    if age_ns > behind_ns:
        raise OutsideTimeWindow(
            f"Request timestamp is too old: {age_ns // NANOSECONDS} s behind the latest block, "
            f"at most {behind_ns // NANOSECONDS} are allowed"
        )
    if -age_ns > ahead_ns:
        raise OutsideTimeWindow(
            f"Request timestamp is in the future: {-age_ns // NANOSECONDS} s ahead of the latest block, "
            f"at most {ahead_ns // NANOSECONDS} are allowed"
        )


def _recover(address: str, message: bytes, signature: bytes) -> bytes | None:
    try:
        return keys.recover(address, message, signature)
    except InvalidSignature:
        return None


def _timestamp(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > MAX_TIMESTAMP_DIGITS:
        raise BadRequest("X-Timestamp must be the time in nanoseconds since 1970", param="X-Timestamp")
    return int(text)


def _text(headers: Headers, name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").strip()
