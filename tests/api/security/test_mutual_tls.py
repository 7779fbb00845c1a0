"""With a client authority, a port that is not for the public hears nobody without a certificate of that authority."""

import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from pivot.api.fleet.client import MlNodeClient, MlNodeUnreachable
from pivot.api.http.admin import OpenAdminPort, admin_app, require_guarded
from pivot.api.http.api_keys import serve_api_keys
from pivot.api.http.callbacks import callbacks_app
from pivot.api.keys.issued import IssuedKeys
from pivot.api.listening import Listener, bind
from pivot.api.node import ApiNode
from pivot.api.poc.callback import callback_token
from pivot.api.settings import ApiSettings, HttpSettings
from pivot.api.tls import UnusableCertificate, client_context, server_context, session_to_ml_nodes
from tests.api.fleet.chain import FakeChain, FakePhases
from tests.api.ledger.engine import FakeEngine, FakeGateway
from tests.api.poc.host import Host, host
from tests.api.test_node import engine, gateway, logs_as_before, settings
from tests.certificates import Authority, Pair

__all__ = ["engine", "gateway", "logs_as_before"]

NODES = "/admin/v1/nodes"


@dataclass(frozen=True)
class Certificates:
    """Of a host: its own authorities, and a stranger's."""

    admins: Authority
    ml_nodes: Authority
    strangers: Authority
    own: Pair
    admin: Pair
    ml_node: Pair

    def settings(self, **fields: Any) -> HttpSettings:
        return HttpSettings(
            **{
                "tls_certificate": self.own.certificate,
                "tls_key": self.own.key,
                "admin_client_ca": self.admins.file,
                "ml_client_ca": self.ml_nodes.file,
                "poc_callback_url": "https://127.0.0.1:9100",
                **fields,
            }
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    admins, ml_nodes, strangers = (Authority(folder, f"{name}-ca") for name in ("admin", "ml", "strange"))
    own, ml_node = ml_nodes.issue("network-node"), ml_nodes.issue("ml-node")
    return Certificates(admins, ml_nodes, strangers, own, admins.issue("ada"), ml_node)


@asynccontextmanager
async def listening(app: Any, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    bound = bind("127.0.0.1", 0, "PORT")
    listener = Listener(app, bound, tls)
    await listener.start()
    try:
        yield f"https://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        await listener.close()


@pytest.fixture
async def one(tmp_path: Path, made: Certificates) -> AsyncIterator[Host]:
    """A host whose admin port and call-back port want certificates."""
    chain = FakeChain()
    async with host(chain, FakePhases(chain), tmp_path) as one:
        one.settings.api = made.settings(admin_server_host="0.0.0.0")
        yield one


@pytest.fixture
async def admin(one: Host) -> AsyncIterator[str]:
    app = admin_app(one.settings, one.identity, one.chain, one.fleet)
    serve_api_keys(app, IssuedKeys(one.database))
    api = one.settings.api
    async with listening(app, server_context(api, api.admin_client_ca)) as url:
        yield url


async def ask(url: str, tls: ssl.SSLContext, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.request("POST" if body else "GET", url, json=body, ssl=tls, headers=headers) as answer,
    ):
        return answer.status, orjson.loads(await answer.read() or b"null")


async def test_a39_the_admin_port_hears_whoever_has_a_certificate_without_a_token(
    admin: str, made: Certificates
) -> None:
    assert await ask(admin + NODES, made.ml_nodes.trusted_by(made.admin)) == (200, [])


@pytest.mark.parametrize("shown", ["none", "of a stranger", "of an ML node", "of the past"])
async def test_a39_whoever_shows_another_certificate_or_none_is_not_heard(
    admin: str, made: Certificates, shown: str
) -> None:
    pairs = {
        "none": None,
        "of a stranger": made.strangers.issue("ada-too"),
        "of an ML node": made.ml_node,
        "of the past": made.admins.issue("former", -dt.timedelta(days=1)),
    }
    with pytest.raises((aiohttp.ClientError, OSError)):
        await ask(admin + NODES, made.ml_nodes.trusted_by(pairs[shown]))


async def test_nothing_is_answered_in_clear(admin: str) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await http.get(admin.replace("https", "http") + NODES)


async def test_with_a_token_as_well_both_are_wanted(one: Host, made: Certificates) -> None:
    api = one.settings.api
    api.admin_token = "secret"
    app = admin_app(one.settings, one.identity, one.chain, one.fleet)
    async with listening(app, server_context(api, api.admin_client_ca)) as url:
        known = made.ml_nodes.trusted_by(made.admin)
        assert (await ask(url + NODES, known))[0] == 401
        assert (await ask(url + NODES, known, Authorization="Bearer secret"))[0] == 200


async def test_who_did_something_is_known_by_the_certificate(admin: str, one: Host, made: Certificates) -> None:
    known = made.ml_nodes.trusted_by(made.admin)
    assert (await ask(admin + "/admin/v1/keys/api", known, {"name": "Bob"}))[0] == 201
    [line] = (one.settings.home / "admin-actions.jsonl").read_text().splitlines()
    assert orjson.loads(line)["credential"] == "certificate ada"


async def test_a_item21_call_backs_want_a_certificate_of_an_ml_node_and_the_token(
    one: Host, made: Certificates
) -> None:
    api, token = one.settings.api, callback_token(one.settings)
    app = callbacks_app(one.settings, one.fleet, one.prover)
    batch = {"batch_id": "x", "distances": [1]}
    async with listening(app, server_context(api, api.ml_client_ca)) as port:
        url = port + "/v1/poc/validated"
        known = made.ml_nodes.trusted_by(made.ml_node)
        assert (await ask(url, known, batch, Authorization=f"Bearer {token}"))[0] == 200
        assert (await ask(url, known, batch))[0] == 401
        for pair in (None, made.admin, made.strangers.issue("node")):
            with pytest.raises((aiohttp.ClientError, OSError)):
                await ask(url, made.ml_nodes.trusted_by(pair), batch, Authorization=f"Bearer {token}")


@asynccontextmanager
async def ml_node(made: Certificates, pair: Pair) -> AsyncIterator[str]:
    """The URL of an ML node that shows this certificate, and wants to see the network node's."""

    async def state(request: web.Request) -> web.Response:
        assert request.transport is not None
        assert request.transport.get_extra_info("peercert")["subject"] == ((("commonName", "network-node"),),)
        return web.json_response({"state": "STOPPED"})

    app = web.Application()
    app.router.add_get("/api/v1/state", state)
    runner = web.AppRunner(app)
    await runner.setup()
    wanted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=made.ml_nodes.file)
    wanted.verify_mode = ssl.CERT_REQUIRED
    wanted.load_cert_chain(pair.certificate, pair.key)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=wanted)
    await site.start()
    yield f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    await runner.cleanup()


async def test_ml_nodes_are_shown_this_nodes_certificate_and_must_show_theirs(made: Certificates) -> None:
    async with session_to_ml_nodes(made.settings()) as http:
        async with ml_node(made, made.ml_node) as url:
            assert (await MlNodeClient(http, url, url).state()).state == "STOPPED"
        async with ml_node(made, made.strangers.issue("false-node")) as url:
            with pytest.raises(MlNodeUnreachable, match="certificate"):
                await MlNodeClient(http, url, url).state()


async def test_a_whole_node_shows_and_wants_certificates_on_both_ports_and_at_its_ml_nodes(
    made: Certificates, tmp_path: Path, engine: FakeEngine, gateway: FakeGateway
) -> None:
    engine.height = 3
    configured = settings(tmp_path, engine, gateway)
    configured.api = made.settings(**configured.api.model_dump(exclude_defaults=True))
    node = ApiNode(configured)
    await node.start()
    admin, callbacks = (f"https://127.0.0.1:{port}" for port in (node.admin_port, node.callback_port))
    ada, machine = made.ml_nodes.trusted_by(made.admin), made.ml_nodes.trusted_by(made.ml_node)
    async with ml_node(made, made.ml_node) as url:
        port = int(url.rpartition(":")[2])
        declared = {"id": "node1", "host": "https://127.0.0.1", "inference_port": port + 1, "poc_port": port}
        status, told = await ask(admin + NODES, ada, {**declared, "max_concurrent": 1})
        assert status == 200, told
        assert [each["node"]["host"] for each in (await ask(admin + NODES, ada))[1]] == ["https://127.0.0.1"]
        assert (await ask(callbacks + "/v1/poc/validated", machine, {}))[0] == 401
        for address, stranger in ((admin + NODES, machine), (callbacks + "/v1/poc/validated", ada)):
            with pytest.raises((aiohttp.ClientError, OSError)):
                await ask(address, stranger, {})
    await node.close()


@contextmanager
def refused(sentence: str) -> Iterator[None]:
    with pytest.raises(ValueError, match=sentence):
        yield


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (("tls_key",), "DAPI_API__TLS_CERTIFICATE and DAPI_API__ADMIN_CLIENT_CA.*without DAPI_API__TLS_KEY"),
        (("tls_certificate",), "without DAPI_API__TLS_CERTIFICATE"),
        (("tls_certificate", "tls_key"), "without DAPI_API__TLS_CERTIFICATE and DAPI_API__TLS_KEY"),
        (("admin_client_ca", "ml_client_ca"), "set DAPI_API__ADMIN_CLIENT_CA or DAPI_API__ML_CLIENT_CA"),
        (("poc_callback_url",), "DAPI_API__POC_CALLBACK_URL must be https://"),
    ],
)
def test_half_of_what_certificates_need_is_refused(made: Certificates, missing: tuple[str, ...], sentence: str) -> None:
    default = {"poc_callback_url": "http://127.0.0.1:9100"}
    with refused(sentence):
        made.settings(**{name: default.get(name, "") for name in missing})


def test_one_port_may_want_certificates_alone(made: Certificates) -> None:
    only_admin = made.settings(ml_client_ca="", poc_callback_url="http://127.0.0.1:9100")
    assert server_context(only_admin, only_admin.ml_client_ca) is None
    assert client_context(only_admin) is None
    assert server_context(only_admin, only_admin.admin_client_ca) is not None


def test_a39_a_port_that_others_reach_needs_a_token_or_certificates(made: Certificates) -> None:
    for api in (HttpSettings(admin_server_host="0.0.0.0"), HttpSettings(admin_published_host="10.0.0.5")):
        with pytest.raises(OpenAdminPort, match="DAPI_API__ADMIN_CLIENT_CA"):
            require_guarded(ApiSettings(api=api))
    require_guarded(ApiSettings(api=made.settings(admin_server_host="0.0.0.0")))
    only_ml_nodes = made.settings(admin_server_host="0.0.0.0", admin_client_ca="")
    with pytest.raises(OpenAdminPort):
        require_guarded(ApiSettings(api=only_ml_nodes))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (lambda made: {"tls_key": made.admin.key}, "are no certificate and its key"),
        (lambda made: {"tls_certificate": made.own.key}, "are no certificate and its key"),
        (lambda made: {"tls_certificate": "/nowhere"}, "/nowhere"),
        (lambda made: {"admin_client_ca": made.own.key}, "holds no authority's certificate"),
        (lambda made: {"admin_client_ca": "/nowhere"}, "holds no authority's certificate"),
    ],
)
def test_files_that_do_not_fit_are_named(
    made: Certificates, changed: Callable[[Certificates], dict[str, Any]], sentence: str
) -> None:
    api = made.settings(**changed(made))
    with pytest.raises(UnusableCertificate, match=sentence):
        server_context(api, api.admin_client_ca)


def test_certificates_of_public_authorities_open_nothing(made: Certificates) -> None:
    api = made.settings()
    for context in (server_context(api, api.admin_client_ca), client_context(api)):
        assert context is not None
        assert len(context.get_ca_certs()) == 1
