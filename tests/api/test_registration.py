"""A host registers itself, and says what it waits for."""

import asyncio
import base64
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from google.protobuf.message import Message

from pivot.api.identity import Identity
from pivot.api.ledger.interface import ChainUnavailable, Head, Outcome
from pivot.api.ledger.rpc import Status
from pivot.api.phases import Listener, Moment
from pivot.api.registration import Registration, in_step, is_unreachable, next_proof
from pivot.api.settings import ApiSettings, ChainNodeSettings, HttpSettings
from pivot.primitives.keys import PrivateKey, decode_signature, verify
from pivot.protocol.epochs import Phase
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSetGateway, MsgSubmitNewParticipant
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, Participant
from pivot.protocol.signing import gateway_sign_bytes, registration_sign_bytes

IDENTITY = Identity(PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32))
CONSENSUS_KEY = base64.b64encode(b"c" * 32).decode()
URL = "http://host.example:8000"
CHAIN_ID = "pivot-test"


def moment(height: int = 5, *, synced: bool = True) -> Moment:
    return Moment(Head(height, height * 10**9, b""), Epoch(), Epoch(), Phase.INFERENCE, 65, synced=synced)


@dataclass
class FakeChain:
    """A chain that does at once what it is told; also the outbox, the node and the phases."""

    known: Participant | None = None
    account: int | None = 1
    refusals: list[str] = field(default_factory=list)
    away: int = 0
    put_messages: list[Message] = field(default_factory=list)
    moment: Moment | None = field(default_factory=moment)
    chain_id: str = CHAIN_ID

    async def participant(self, address: str) -> Participant | None:
        assert address == IDENTITY.address
        if self.away:
            self.away -= 1
            raise ChainUnavailable("nobody answers")
        return self.known

    async def account_number(self, address: str) -> int | None:
        return self.account

    async def status(self) -> Status:
        return Status(CHAIN_ID, Head(5, 0, b""), synced=True, consensus_key=CONSENSUS_KEY, node_id="", moniker="")

    async def put(self, key: str, message: Message, *, deadline_height: int = 0) -> None:
        self.put_messages.append(message)

    async def outcome(self, key: str) -> Outcome | None:
        raise NotImplementedError

    async def wait(self, key: str, timeout_s: float) -> Outcome | None:
        message = self.put_messages[-1]
        if self.refusals:
            return Outcome(key, done=True, code=1201, log=self.refusals.pop())
        if isinstance(message, MsgSubmitNewParticipant):
            self.register(message.url, message.validator_key)
        elif isinstance(message, MsgSetGateway):
            assert self.known is not None
            self.known.gateway_address = IDENTITY.gateway.address
        return Outcome(key, done=True, height=6)

    def register(self, url: str, key: str, gateway: str = "") -> None:
        self.known = Participant(
            address=IDENTITY.address, inference_url=url, validator_key=key, gateway_address=gateway
        )

    def listen(self, listener: Listener) -> None:
        raise NotImplementedError

    async def wait_for(self, condition: Callable[[Moment], bool], timeout_s: float) -> Moment | None:
        await asyncio.sleep(0)
        return self.moment if self.moment and condition(self.moment) else None


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def settings(*, url: str = URL, seed: str = "", private: bool = False) -> ApiSettings:
    return ApiSettings(
        api=HttpSettings(public_url=url, allow_private_urls=private), chain_node=ChainNodeSettings(seed_api_url=seed)
    )


def registration(chain: FakeChain, http: aiohttp.ClientSession, configured: ApiSettings | None = None) -> Registration:
    return Registration(configured or settings(), IDENTITY, chain, chain, chain, chain, http, retry_s=0.001)


async def test_a_host_that_is_in_step_sends_nothing(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    chain = FakeChain()
    chain.register(URL + "/", CONSENSUS_KEY, IDENTITY.gateway.address)
    await registration(chain, http).run()
    assert chain.put_messages == []
    assert f"{IDENTITY.address}, is registered at {URL}" in caplog.text
    assert "the next proof of compute begins at block 65, in 60 blocks" in caplog.text


async def test_a_new_host_registers_and_names_its_gateway(http: aiohttp.ClientSession) -> None:
    chain = FakeChain()
    await registration(chain, http).run()
    registered, gateway = chain.put_messages
    assert isinstance(registered, MsgSubmitNewParticipant)
    assert isinstance(gateway, MsgSetGateway)
    signed = registration_sign_bytes(CHAIN_ID, IDENTITY.address, URL, CONSENSUS_KEY)
    assert verify(IDENTITY.account.public_key, signed, decode_signature(registered.registration_signature))
    assert (registered.creator, registered.url, registered.validator_key) == (IDENTITY.address, URL, CONSENSUS_KEY)
    agreed = gateway_sign_bytes(CHAIN_ID, IDENTITY.address)
    assert verify(gateway.gateway_public_key, agreed, decode_signature(gateway.gateway_signature))
    assert gateway.gateway_public_key == IDENTITY.gateway.public_key


@pytest.mark.parametrize(
    ("url", "key", "gateway", "sent"),
    [
        ("http://old.example", CONSENSUS_KEY, IDENTITY.gateway.address, [MsgSubmitNewParticipant]),
        (URL, "b2xk", IDENTITY.gateway.address, [MsgSubmitNewParticipant]),
        ("", "", "", [MsgSubmitNewParticipant, MsgSetGateway]),
        (URL, CONSENSUS_KEY, "", [MsgSetGateway]),
    ],
)
async def test_what_differs_is_sent(
    http: aiohttp.ClientSession, url: str, key: str, gateway: str, sent: list[type[Message]]
) -> None:
    chain = FakeChain()
    chain.register(url, key, gateway)
    put_gateway = chain.register

    def keep_gateway(url: str, key: str, _: str = "") -> None:
        put_gateway(url, key, gateway)

    chain.register = keep_gateway  # type: ignore[method-assign]
    await registration(chain, http).run()
    assert [type(message) for message in chain.put_messages] == sent


async def test_a_rotated_key_waits_for_its_epoch_without_being_sent_again() -> None:
    known = Participant(inference_url=URL, validator_key="b2xk", next_validator_key=CONSENSUS_KEY)
    assert in_step(known, URL, CONSENSUS_KEY)
    assert not in_step(known, URL, "b2xk")


async def test_a_refusal_is_told_and_tried_again(http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    chain = FakeChain(refusals=["that consensus key is taken"], away=1)
    await registration(chain, http).run()
    assert "refused this host's MsgSubmitNewParticipant: that consensus key is taken" in caplog.text
    assert "cannot look up this host's registration: nobody answers" in caplog.text


async def test_a_host_waits_until_its_node_has_caught_up(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    chain = FakeChain(moment=None)
    register = registration(chain, http)
    await register.start()
    while "it has told of no block yet" not in caplog.text:
        await asyncio.sleep(0.001)
    chain.moment = moment(9, synced=False)
    while "it is at block 9" not in caplog.text:
        await asyncio.sleep(0.001)
    assert chain.put_messages == []
    chain.moment = moment(10)
    while "is registered at" not in caplog.text:
        await asyncio.sleep(0.001)
    await register.close()


async def test_closing_ends_the_waiting(http: aiohttp.ClientSession) -> None:
    register = registration(FakeChain(moment=None), http)
    await register.close()
    await register.start()
    await asyncio.sleep(0)
    await register.close()


# A host without an account.


@dataclass
class Seed:
    url: str = ""
    documents: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[], Awaitable[web.Response]] | None = None


@pytest.fixture
async def seed() -> AsyncIterator[Seed]:
    seed = Seed()

    async def participants(request: web.Request) -> web.Response:
        seed.documents.append(await request.json())
        assert seed.answer is not None
        return await seed.answer()

    app = web.Application()
    app.router.add_post("/v1/participants", participants)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    seed.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield seed
    await runner.cleanup()


async def test_the_seed_forwards_the_registration_of_a_host_without_an_account(
    http: aiohttp.ClientSession, seed: Seed, caplog: pytest.LogCaptureFixture
) -> None:
    chain = FakeChain(account=None)
    answers = [web.Response(status=503, text="busy"), web.Response(status=200)]

    async def answer() -> web.Response:
        if len(answers) == 1:
            chain.account = 3
            chain.register(URL, CONSENSUS_KEY)
        return answers.pop(0)

    seed.answer = answer
    await registration(chain, http, settings(seed=seed.url + "/")).run()
    signed = registration_sign_bytes(CHAIN_ID, IDENTITY.address, URL, CONSENSUS_KEY)
    document = seed.documents[-1]
    signature = decode_signature(document.pop("registration_signature"))
    assert verify(IDENTITY.account.public_key, signed, signature)
    assert document == {
        "address": IDENTITY.address,
        "url": URL,
        "validator_key": CONSENSUS_KEY,
        "pub_key": base64.b64encode(IDENTITY.account.public_key).decode(),
    }
    assert [type(message) for message in chain.put_messages] == [MsgSetGateway]
    assert "refused this host's registration (503): busy" in caplog.text


async def one_step(chain: FakeChain, http: aiohttp.ClientSession, configured: ApiSettings, told: str, log: Any) -> None:
    register = registration(chain, http, configured)
    await register.start()
    async with asyncio.timeout(10):
        while told not in log.text:
            await asyncio.sleep(0.001)
    await register.close()


async def test_a_seed_that_is_away_is_named(http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    configured = settings(seed="http://127.0.0.1:9")
    await one_step(FakeChain(account=None), http, configured, "127.0.0.1:9 does not answer", caplog)


async def test_without_account_and_seed_the_host_says_what_it_needs(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    await one_step(FakeChain(account=None), http, settings(), "set chain_node.seed_api_url", caplog)


async def test_an_address_that_nobody_can_reach_is_not_registered(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    chain = FakeChain()
    await one_step(chain, http, settings(url="http://127.0.0.1:9000"), "no other host can reach", caplog)
    assert chain.put_messages == []
    await registration(chain, http, settings(url="http://127.0.0.1:9000", private=True)).run()
    assert len(chain.put_messages) == 2


@pytest.mark.parametrize(
    ("url", "unreachable"),
    [
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("http://0.0.0.0:1", True),
        ("http://10.0.0.1:1", False),
        ("http://host.example", False),
    ],
)
def test_which_addresses_nobody_can_reach(url: str, unreachable: bool) -> None:
    assert is_unreachable(url) is unreachable


def test_the_next_proof_of_compute_is_told_in_minutes_once_the_pace_is_known() -> None:
    assert "about" not in next_proof(moment(5), moment(5))
    assert "in 50 blocks (about 1 min)" in next_proof(moment(5), moment(15))


def test_a_proof_of_compute_that_is_under_way_is_told() -> None:
    running = dataclasses.replace(moment(), phase=Phase.POC_GENERATE)
    assert next_proof(running, running).startswith(
        "a proof of compute is under way; the one after it begins at block 65"
    )
