"""The whole API node against a chain node in this process."""

import asyncio
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import orjson
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from pivot.api import node as node_module
from pivot.api import run as run_module
from pivot.api.__main__ import main
from pivot.api.database import DatabaseUnusable, connect
from pivot.api.http.admin import OpenAdminPort
from pivot.api.http.public import PublicApp
from pivot.api.ledger.rpc import Rpc
from pivot.api.listening import CannotListen
from pivot.api.logs import configure_logs
from pivot.api.metrics import figures
from pivot.api.metrics.figures import FIGURES, Kind
from pivot.api.node import ApiNode, chain_id
from pivot.api.occupancy.hold import HOME_LOCK, DatabaseTaken
from pivot.api.reloading import reload
from pivot.api.run import run_api
from pivot.api.settings import ApiSettings, ChainNodeSettings, HttpSettings
from pivot.doctor.network_node import examine
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, EpochBoundaries
from pivot.protocol.parameters import preset_params
from tests.api.databases import PostgresqlDatabases
from tests.api.ledger.engine import CHAIN_ID, FakeEngine, FakeGateway


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """What a node sets for its process stays in the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def gateway(engine: FakeEngine) -> AsyncIterator[FakeGateway]:
    gateway = FakeGateway()
    service = "/inference.inference.Query"
    epoch = Epoch(boundaries=EpochBoundaries(next_poc_start=10))
    gateway.answer(
        f"{service}/EpochInfo",
        queries.QueryEpochInfoRequest,
        lambda _: queries.QueryEpochInfoResponse(
            block_height=engine.height, latest_epoch=epoch, effective_epoch=epoch, next_poc_start=10
        ),
    )
    gateway.answer(
        f"{service}/Params",
        queries.QueryParamsRequest,
        lambda _: queries.QueryParamsResponse(params=preset_params("test")),
    )
    gateway.answer(f"{service}/ModelsAll", queries.QueryModelsAllRequest, lambda _: queries.QueryModelsAllResponse())
    server = await gateway.serve()
    yield gateway
    await server.stop(None)


def settings(home: Path, engine: FakeEngine | None = None, gateway: FakeGateway | None = None) -> ApiSettings:
    """Of a node on free ports."""
    return ApiSettings(
        home=home,
        log_level="warning",
        api=HttpSettings(
            public_server_host="127.0.0.1",
            public_server_port=0,
            ml_server_port=0,
            admin_server_port=0,
            allow_private_urls=True,
        ),
        chain_node=ChainNodeSettings(
            url=engine.url if engine else "http://127.0.0.1:9", grpc_url=gateway.url if gateway else "127.0.0.1:9"
        ),
    )


def seen_nodes(monkeypatch: pytest.MonkeyPatch) -> list[ApiNode]:
    """The nodes that `run_api` will have made."""
    nodes: list[ApiNode] = []

    class Seen(ApiNode):
        def __init__(self, configured: ApiSettings) -> None:
            super().__init__(configured)
            nodes.append(self)

    monkeypatch.setattr(run_module, "ApiNode", Seen)
    return nodes


async def status_of(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status


async def test_three_ports_are_served_from_start_to_close(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway
) -> None:
    engine.height = 3
    node = ApiNode(settings(tmp_path, engine, gateway))
    await node.start()
    assert await status_of(f"http://127.0.0.1:{node.public_port}/v1/status") == 200
    assert await status_of(f"http://127.0.0.1:{node.admin_port}/admin/v1/nodes") == 200
    assert await status_of(f"http://127.0.0.1:{node.admin_port}/metrics") == 200
    assert await status_of(f"http://127.0.0.1:{node.public_port}/metrics") == 404
    assert await status_of(f"http://127.0.0.1:{node.public_port}/healthz") == 200
    assert await status_of(f"http://127.0.0.1:{node.public_port}/readyz") == 503  # nobody has registered it
    assert await status_of(f"http://127.0.0.1:{node.callback_port}/v1/poc/generated") == 401
    assert await status_of(f"http://127.0.0.1:{node.public_port}/admin/v1/nodes") == 404
    assert all((tmp_path / name).exists() for name in ("account.key", "gateway.key", "api.sqlite"))
    await node.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await status_of(f"http://127.0.0.1:{node.public_port}/v1/status")


async def test_a_node_starts_again_on_its_own_state(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway, new_database: str
) -> None:
    for _ in range(2):
        configured = settings(tmp_path, engine, gateway)
        configured.database_url = new_database
        node = ApiNode(configured)
        await node.start()
        await node.close()


async def test_a3_a_port_that_is_taken_is_fatal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        configured = settings(tmp_path)
        configured.api.admin_server_port = taken.getsockname()[1]
        node = ApiNode(configured)
        with pytest.raises(CannotListen, match=r"^DAPI_API__ADMIN_SERVER_PORT: cannot listen on 127\.0\.0\.1:"):
            await node.start()
        await node.close()


async def test_a_public_admin_port_without_a_token_is_refused(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    configured.api.admin_server_host = "0.0.0.0"
    with pytest.raises(OpenAdminPort):
        await ApiNode(configured).start()


async def test_the_chain_node_may_come_later(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(node_module, "FIRST_RETRY_SECONDS", 0.01)
    await engine.stop()
    async with aiohttp.ClientSession() as http:
        waiting = asyncio.create_task(chain_id(Rpc(http, engine.url)))
        while "waiting for the chain node" not in caplog.text:
            await asyncio.sleep(0.01)
        await engine.start()
        assert await waiting == CHAIN_ID


async def test_the_figures_of_a_whole_node_are_all_told(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway
) -> None:
    engine.height = 3
    node = ApiNode(settings(tmp_path, engine, gateway))
    await node.start()
    unknown_here = {figures.WEIGHT, figures.BALANCE, figures.REQUESTS, figures.NODE_REQUESTS}
    histograms = {f"{figure.full_name}_count" for figure in FIGURES if figure.kind is Kind.HISTOGRAM}
    plain = {figure.full_name for figure in set(FIGURES) - unknown_here if figure.kind is not Kind.HISTOGRAM}
    told: set[str] = set()
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        while not told >= plain | histograms:  # some wait for the first block
            async with session.get(f"http://127.0.0.1:{node.admin_port}/metrics") as answer:
                families = text_string_to_metric_families(await answer.text())
                told = {sample.name for family in families for sample in family.samples}
    await node.close()


async def test_sighup_has_a_node_read_its_settings_again(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("log_level: warning\n")
    monkeypatch.setenv("API_CONFIG_PATH", str(file))
    running = asyncio.create_task(run_api(settings(tmp_path, engine, gateway)))
    while not engine.subscriptions:
        await asyncio.sleep(0.01)
    file.write_text("log_level: error\n")
    os.kill(os.getpid(), signal.SIGHUP)
    while logging.getLogger().level != logging.ERROR:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 20)


async def test_sigterm_ends_a_node(tmp_path: Path, engine: FakeEngine, gateway: FakeGateway) -> None:
    running = asyncio.create_task(run_api(settings(tmp_path, engine, gateway)))
    while not engine.subscriptions:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 20)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_cuts_the_drain_short(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, second: signal.Signals
) -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def slow(_: PublicApp) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            let_go.set()

    monkeypatch.setattr(PublicApp, "status", slow)
    configured = settings(tmp_path, engine, gateway)
    configured.api.drain_seconds = 600
    nodes = seen_nodes(monkeypatch)
    running = asyncio.create_task(run_api(configured))
    while not (nodes and nodes[0]._readiness.begun):
        await asyncio.sleep(0.01)
    asking = asyncio.create_task(status_of(f"http://127.0.0.1:{nodes[0].public_port}/v1/status"))
    await begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.3)
    assert not running.done()
    assert not let_go.is_set()
    os.kill(os.getpid(), second)
    await asyncio.wait_for(running, 20)
    assert let_go.is_set()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_second_node_in_the_same_home_is_refused(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway
) -> None:
    first, second = (ApiNode(settings(tmp_path, engine, gateway)) for _ in range(2))
    await first.start()
    with pytest.raises(DatabaseTaken, match=f"the home {tmp_path} is in use by another API node"):
        await second.start()
    await second.close()
    await first.close()


async def test_another_hosts_database_is_refused(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway, new_database: str
) -> None:
    of_one, of_another = (settings(tmp_path / name, engine, gateway) for name in ("one", "another"))
    of_one.database_url = of_another.database_url = new_database
    first, second = ApiNode(of_one), ApiNode(of_another)
    await first.start()
    await first.close()
    with pytest.raises(DatabaseTaken, match=r"is that of host gonka1.*, and this is gonka1"):
        await second.start()
    await second.close()


async def test_the_databases_password_is_told_nowhere(
    tmp_path: Path,
    engine: FakeEngine,
    gateway: FakeGateway,
    postgresql_databases: PostgresqlDatabases,
    capsys: pytest.CaptureFixture[str],
) -> None:
    password = "pass-of-the-database"
    configured = settings(tmp_path, engine, gateway)
    told: list[str] = []
    async with postgresql_databases.empty() as url:
        configured.database_url = url.replace("postgres@", f"postgres:{password}@") + f"&password={password}"
        configure_logs("debug")
        node = ApiNode(configured)
        await node.start()
        reload(configured, lambda: settings(tmp_path, engine, gateway))
        damaged = connect(configured.database_url)
        async with damaged.session() as session:
            await session.execute(text("DROP TABLE heartbeat"))
        await damaged.close()
        public, admin = (f"http://127.0.0.1:{port}" for port in (node.public_port, node.admin_port))
        async with aiohttp.ClientSession() as http:
            for asked in (f"{admin}/metrics", f"{admin}/openapi.json", f"{public}/openapi.json", f"{public}/readyz"):
                async with http.get(asked) as answer:
                    told.append(await answer.text())
        assert "heartbeat" in told[-1]
        told += map(repr, await examine(configured, {"DATABASE_URL": configured.database_url}, before_start=True))
        await node.close()
    again = ApiNode(configured)
    with pytest.raises(DatabaseUnusable, match="does not exist") as refused:
        await again.start()
    await again.close()
    logged = capsys.readouterr().err
    assert '"database_url"' in logged or "after a restart: database_url" in logged
    assert password not in "".join([*told, logged, *traceback.format_exception(refused.value)])


async def test_a_node_whose_place_is_taken_ends_with_the_reason(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = seen_nodes(monkeypatch)
    running = asyncio.create_task(run_api(settings(tmp_path, engine, gateway)))
    while not (nodes and nodes[0]._readiness.begun):
        await asyncio.sleep(0.01)
    nodes[0].unfit.set_exception(DatabaseTaken("another came"))
    with pytest.raises(DatabaseTaken, match="another came"):
        await asyncio.wait_for(running, 20)


def test_a_second_process_says_that_the_home_is_in_use_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAPI_HOME", str(tmp_path))
    for name in ("PUBLIC", "ML", "ADMIN"):
        monkeypatch.setenv(f"DAPI_API__{name}_SERVER_PORT", "0")
    with (tmp_path / HOME_LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main() == 1
    assert f"the home {tmp_path} is in use by another API node: only one can run on it" in capsys.readouterr().err


async def test_sigterm_ends_a_node_that_waits_for_its_chain_node(tmp_path: Path) -> None:
    running = asyncio.create_task(run_api(settings(tmp_path)))
    while not (tmp_path / "api.sqlite").exists():
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 20)


def test_a3_a_node_that_cannot_start_says_why_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAPI_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("DAPI_API__PUBLIC_SERVER_PORT", port)
        assert main() == 1
    assert f"DAPI_API__PUBLIC_SERVER_PORT: cannot listen on 0.0.0.0:{port}" in capsys.readouterr().err


def test_a_node_that_must_not_start_as_it_is_configured_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAPI_HOME", str(tmp_path))
    monkeypatch.setenv("DAPI_API__ADMIN_SERVER_HOST", "0.0.0.0")
    assert main() == 2
    assert "(api.admin_server_host) is 0.0.0.0" in capsys.readouterr().err
    monkeypatch.setenv("DAPI_API__PUBLIC_SERVER_PORT", "many")
    assert main() == 2
    assert "DAPI_API__PUBLIC_SERVER_PORT (api.public_server_port)" in capsys.readouterr().err


async def test_the_command_line_runs_the_node_and_ends_well(
    tmp_path: Path, engine: FakeEngine, gateway: FakeGateway
) -> None:
    environment = {
        "DAPI_HOME": str(tmp_path),
        "DAPI_API__PUBLIC_SERVER_PORT": "0",
        "DAPI_API__ML_SERVER_PORT": "0",
        "DAPI_API__ADMIN_SERVER_PORT": "0",
        "DAPI_CHAIN_NODE__URL": engine.url,
        "DAPI_CHAIN_NODE__GRPC_URL": gateway.url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pivot.cli", "api", "run", env={**os.environ, **environment}, stderr=subprocess.PIPE
    )
    while not engine.subscriptions:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, log = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, log
    assert all(orjson.loads(line)["event"] for line in log.splitlines())
