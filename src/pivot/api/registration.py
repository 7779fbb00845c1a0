"""Sees to it that this host stands on the chain as it is configured: its URL, its consensus key, its gateway account.

Nothing is sent where all is in step. What the host waits for is told in its log in plain words.
"""

import asyncio
import base64
import contextlib
import ipaddress
import logging
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from google.protobuf.message import Message

from pivot.api.identity import Identity
from pivot.api.ledger.interface import LedgerError, Outbox
from pivot.api.ledger.rpc import Status
from pivot.api.phases import Moment, Phases
from pivot.api.settings import ApiSettings
from pivot.protocol.epochs import Phase
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSetGateway, MsgSubmitNewParticipant
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from pivot.protocol.signing import gateway_sign_bytes, registration_sign_bytes
from pivot.protocol.transactions import NANOSECONDS

SYNC_REPORT_SECONDS = 30.0
RETRY_SECONDS = 5.0
OUTCOME_SECONDS = 60.0
SEED_TIMEOUT = aiohttp.ClientTimeout(total=30)
MAX_SHOWN_ANSWER_BYTES = 500
SECONDS_PER_MINUTE = 60

_log = logging.getLogger(__name__)


class Accounts(Protocol):
    """What the registration asks of the chain (`ledger/chain.py`)."""

    @property
    def chain_id(self) -> str: ...

    async def participant(self, address: str) -> Participant | None: ...

    async def account_number(self, address: str) -> int | None: ...


class OwnNode(Protocol):
    """The host's own chain node (`ledger/rpc.py`), which holds the consensus key."""

    async def status(self) -> Status: ...


class Registration:
    """Registers the host when the chain does not have it as it is configured, and then rests."""

    def __init__(
        self,
        settings: ApiSettings,
        identity: Identity,
        accounts: Accounts,
        node: OwnNode,
        outbox: Outbox,
        phases: Phases,
        http: aiohttp.ClientSession,
        *,
        retry_s: float = RETRY_SECONDS,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._accounts = accounts
        self._node = node
        self._outbox = outbox
        self._phases = phases
        self._http = http
        self._retry_s = retry_s
        self._told = ""
        self.done = False
        """The chain has this host as it is configured."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self.run(), name="registration")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def run(self) -> None:
        """Until the host is registered as it is configured."""
        first = await self._synced()
        while True:
            try:
                if await self._step():
                    break
            except LedgerError as error:
                self._tell(f"cannot look up this host's registration: {error}")
            await asyncio.sleep(self._retry_s)
        self.done = True
        _log.info("this host, %s, is registered at %s", self._identity.address, self._settings.api.public_url)
        _log.info(next_proof(first, self._phases.moment or first))

    async def _synced(self) -> Moment:
        while True:
            moment = await self._phases.wait_for(lambda moment: moment.synced, SYNC_REPORT_SECONDS)
            if moment is not None:
                return moment
            now = self._phases.moment
            where = f"it is at block {now.head.height}" if now else "it has told of no block yet"
            _log.info("waiting for the chain node to catch up with the network: %s", where)

    async def _step(self) -> bool:
        """Look, and do what is next. Whether nothing is left to do."""
        url, key = self._settings.api.public_url, (await self._node.status()).consensus_key
        known = await self._accounts.participant(self._identity.address)
        if known is None or not in_step(known, url, key):
            if not self._settings.api.allow_private_urls and is_unreachable(url):
                self._tell(f"api.public_url is {url}, which no other host can reach: set it, so this host can register")
            elif await self._accounts.account_number(self._identity.address) is None:
                await self._register_at_seed(url, key)
            else:
                await self._send("register", self._registration(url, key))
            return False
        if known.gateway_address != self._identity.gateway.address:
            await self._send("gateway", self._gateway())
            return False
        return True

    async def _send(self, what: str, message: Message) -> None:
        moment = self._phases.moment
        entry = f"{what}:{moment.head.height if moment else 0}"
        await self._outbox.put(entry, message)
        self._tell(f"waiting for the chain to take this host's {message.DESCRIPTOR.name}")
        while True:
            outcome = await self._outbox.wait(entry, OUTCOME_SECONDS)
            if outcome is None or outcome.done:
                break
        if outcome is not None and not outcome.accepted:
            self._tell(f"the chain refused this host's {message.DESCRIPTOR.name}: {outcome.log}")

    async def _register_at_seed(self, url: str, key: str) -> None:
        """Ask another host to forward the registration, which makes the account."""
        seed, address = self._settings.chain_node.seed_api_url, self._identity.address
        if not seed:
            self._tell(
                f"the account {address} does not exist on the chain: set chain_node.seed_api_url, so that another "
                f"host forwards the registration, or send it coins"
            )
            return
        document = {
            "address": address,
            "url": url,
            "validator_key": key,
            "pub_key": base64.b64encode(self._identity.account.public_key).decode(),
            "registration_signature": self._registration(url, key).registration_signature,
        }
        try:
            async with self._http.post(
                f"{seed}/v1/participants", json=document, timeout=SEED_TIMEOUT, allow_redirects=False
            ) as answer:
                text = (await answer.content.read(MAX_SHOWN_ANSWER_BYTES)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._tell(f"the seed node {seed} does not answer: {error or type(error).__name__}")
            return
        if answer.ok:
            self._tell(f"waiting for the chain to take the registration that {seed} forwards")
        else:
            self._tell(f"the seed node {seed} refused this host's registration ({answer.status}): {text}")

    def _registration(self, url: str, key: str) -> MsgSubmitNewParticipant:
        address = self._identity.address
        signed = registration_sign_bytes(self._accounts.chain_id, address, url, key)
        return MsgSubmitNewParticipant(
            creator=address,
            url=url,
            validator_key=key,
            registration_signature=self._identity.account.sign_base64(signed),
        )

    def _gateway(self) -> MsgSetGateway:
        signed = gateway_sign_bytes(self._accounts.chain_id, self._identity.address)
        return MsgSetGateway(
            creator=self._identity.address,
            gateway_public_key=self._identity.gateway.public_key,
            gateway_signature=self._identity.gateway.sign_base64(signed),
        )

    def _tell(self, sentence: str) -> None:
        """Log a sentence, once for as long as it stays the same."""
        if sentence != self._told:
            self._told = sentence
            _log.warning(sentence)


def in_step(known: Participant, url: str, consensus_key: str) -> bool:
    """Whether the chain has this URL and this consensus key, in force or from the next epoch on."""
    key = known.next_validator_key or known.validator_key
    return known.inference_url.rstrip("/") == url and key == consensus_key


def is_unreachable(url: str) -> bool:
    """Whether the URL names this machine itself, so that nobody else can follow it."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def next_proof(first: Moment, now: Moment) -> str:
    """When this host can next earn weight; in minutes too, once two blocks have shown the network's pace."""
    if now.phase in {Phase.POC_GENERATE, Phase.POC_GENERATE_WIND_DOWN}:
        return f"a proof of compute is under way; the one after it begins at block {now.next_poc_start}"
    left = now.next_poc_start - now.head.height
    sentence = f"the next proof of compute begins at block {now.next_poc_start}, in {left} blocks"
    blocks = now.head.height - first.head.height
    if blocks > 0:
        seconds = left * (now.head.time_ns - first.head.time_ns) // blocks // NANOSECONDS
        sentence += f" (about {-(-seconds // SECONDS_PER_MINUTE)} min)"
    return sentence + "; it gives weight to the ML nodes that the chain knows by then"
