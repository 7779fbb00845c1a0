"""`pivot admin nodes …` against a real admin port."""

import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from pivot.api.fleet import reach
from pivot.api.http.admin import admin_app
from pivot.api.http.api_keys import serve_api_keys
from pivot.api.keys.issued import IssuedKeys
from pivot.api.listening import Listener, bind
from pivot.api.settings import HttpSettings
from pivot.api.tls import server_context
from pivot.protocol.mlnode_api import Mode
from tests.api.fleet.chain import MODEL, FakeChain, FakePhases
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.poc.host import host
from tests.api.serving import serving
from tests.certificates import Authority
from tests.cli.conftest import Pivot


@pytest.fixture
async def nodes(pivot: Pivot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Pivot]:
    """`pivot admin nodes` of a host in this process."""
    monkeypatch.setattr(reach, "REACH_PATIENCE_S", 0.2)
    chain = FakeChain()
    async with host(chain, FakePhases(chain), tmp_path) as one:
        one.settings.api.admin_token = "secret"
        async with serving(admin_app(one.settings, one.identity, chain, one.fleet)) as url:
            monkeypatch.setenv("ADMIN_URL", url)
            monkeypatch.setenv("DAPI_API__ADMIN_TOKEN", "secret")
            yield lambda *arguments: pivot("admin", "nodes", *arguments)


@pytest.fixture
async def node() -> AsyncIterator[FakeMlNode]:
    async with FakeMlNode.running() as node:
        yield node


def ports(node: FakeMlNode) -> list[str]:
    return ["--host", "127.0.0.1", "--inference-port", str(node.port), "--poc-port", str(node.port)]


async def test_a_node_is_added_listed_rested_and_removed(nodes: Pivot, node: FakeMlNode) -> None:
    added = await nodes(
        "add",
        "node1",
        *ports(node),
        "--model",
        MODEL,
        "--model-args",
        "--max-num-seqs '8'",
        "--max-concurrent",
        "7",
        "--json",
    )
    assert (added.code, added.json["models"]) == (0, {MODEL: {"args": ["--max-num-seqs", "8"]}})
    listed = await nodes("list", "--json")
    assert [item["node"]["max_concurrent"] for item in listed.json] == [7]
    table = await nodes("list")
    assert (table.code, "node1" in table.out) == (0, True)
    assert (await nodes("disable", "node1")).err == "Disabled: node1. They keep their duties until the epoch ends.\n"
    assert "disabled" in (await nodes("list")).out
    assert (await nodes("enable", "node1", "--json")).json == [
        {"message": "node enabled successfully", "node_id": "node1"}
    ]
    assert (await nodes("remove", "node1", "--json")).json == {"node1": True}
    assert (await nodes("list")).err.startswith("There are no ML nodes yet")


async def test_unknown_nodes_are_told_and_fail(nodes: Pivot) -> None:
    removed = await nodes("remove", "nobody", "--json")
    assert (removed.code, removed.json, removed.err) == (1, {"nobody": False}, "there is no ML node nobody\n")
    for action in ("enable", "disable"):
        told = await nodes(action, "rack/1")
        assert (told.code, told.out, told.err) == (1, "", "node not found: rack/1\n")


async def test_a_refused_node_is_told_in_the_api_nodes_words(nodes: Pivot, node: FakeMlNode) -> None:
    told = await nodes("add", "node1", *ports(node), "--model", "no/such")
    assert (told.code, told.err.startswith("models: the network does not know")) == (1, True)
    told = await nodes("add", "node1", "--host", "127.0.0.1", "--poc-port", "1")
    assert (told.code, told.err.startswith("poc_port: no ML node answers")) == (1, True)


async def test_a_token_of_the_node_is_passed_on(nodes: Pivot) -> None:
    async with FakeMlNode.running(token="node's") as node:
        assert (await nodes("add", "node1", *ports(node))).err.startswith("auth_token: ")
        assert (await nodes("add", "node1", *ports(node), "--node-token", "node's")).code == 0


async def test_a_file_of_nodes(nodes: Pivot, node: FakeMlNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "node-config.json"
    file.write_text(json.dumps([node.declared()]))
    assert (await nodes("add", "--file", str(file))).err == "Added: node1.\n"
    file.write_text(json.dumps([node.declared(), node.declared("twin")]))
    partly = await nodes("add", "--file", str(file), "--json")
    assert (partly.code, [each["id"] for each in partly.json["nodes"]]) == (1, ["node1"])
    assert f"not added: twin: poc_port: {node.url} belongs to node 'node1' already" in partly.err
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(node.declared(max_concurrent=3))))
    assert (await nodes("add", "--file", "-", "--json")).json["max_concurrent"] == 3
    file.write_text("[")
    assert (await nodes("add", "--file", str(file))).code == 1
    file.write_text("5")
    told = await nodes("add", "--file", str(file))
    assert (told.code, told.out) == (1, "")


async def test_wrong_usage(nodes: Pivot) -> None:
    assert (await nodes("add", "node1")).code == 2
    assert (await nodes("add", "node1", "--host", "h", "--model-args", "'")).code == 2


async def test_no_admin_port_no_token_and_no_address_are_told(nodes: Pivot) -> None:
    told = await nodes("list", "--token", "wrong")
    assert (told.code, told.err) == (1, "this port wants its bearer token in the Authorization header\n")
    told = await nodes("list", "--url", "http://127.0.0.1:1")
    assert (told.code, "http://127.0.0.1:1 does not answer" in told.err) == (1, True)
    told = await nodes("list", "--url", "localhost:9200")
    assert (told.code, "no http:// or https:// address" in told.err) == (1, True)


@pytest.mark.parametrize(("body", "told"), [("hello", "is no admin port"), ("{}", "the API node answered 500")])
async def test_something_else_that_answers_is_told(pivot: Pivot, body: str, told: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, status=500)

    app = web.Application()
    app.router.add_get("/admin/v1/nodes", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    found = await pivot("admin", "nodes", "list", "--url", f"http://127.0.0.1:{port}")
    await runner.cleanup()
    assert (found.code, told in found.err) == (1, True)


async def test_what_a_node_says_of_itself_and_how_its_engine_starts_is_in_the_table(
    nodes: Pivot, node: FakeMlNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.warnings = ["GPU 1 is lost."]
    node.mode, node.healthy = Mode.INFERENCE, False
    node.starting = {"state": "starting", "stage": "loading weights", "progress": 0.43}
    monkeypatch.setenv("COLUMNS", "200")
    await nodes("add", "node1", *ports(node), "--model", MODEL)
    while "GPU 1 is lost.; loading weights, 43%" not in (table := (await nodes("list")).out):
        assert "node1" in table


@pytest.fixture
async def guarded(pivot: Pivot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Pivot]:
    """`pivot` on the machine of a host whose admin port wants a certificate, with one that it takes."""
    authority = Authority(tmp_path, "host")
    own, ada = authority.issue("network-node"), authority.issue("ada")
    chain = FakeChain()
    async with host(chain, FakePhases(chain), tmp_path) as one:
        api = HttpSettings(tls_certificate=own.certificate, tls_key=own.key, admin_client_ca=authority.file)
        app = admin_app(one.settings, one.identity, chain, one.fleet)
        serve_api_keys(app, IssuedKeys(one.database))
        bound = bind("127.0.0.1", 0, "PORT")
        listener = Listener(app, bound, server_context(api, api.admin_client_ca))
        await listener.start()
        monkeypatch.setenv("ADMIN_URL", f"https://127.0.0.1:{bound.getsockname()[1]}")
        monkeypatch.setenv("ADMIN_CERTIFICATE", str(ada.both))
        monkeypatch.setenv("ADMIN_CA", str(authority.file))
        yield pivot
        await listener.close()


async def test_a_port_that_wants_a_certificate_is_shown_one(guarded: Pivot) -> None:
    assert (await guarded("admin", "nodes", "list", "--json")).json == []
    assert (await guarded("keys", "api", "create", "Ada", "--budget", "5gonka")).code == 0


async def test_without_the_right_certificate_the_port_does_not_answer(
    guarded: Pivot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "other").issue("stranger")
    for name, value, told in (
        ("ADMIN_CERTIFICATE", "", "does not answer"),
        ("ADMIN_CERTIFICATE", str(stranger.both), "does not answer"),
        ("ADMIN_CERTIFICATE", str(stranger.key), "holds no certificate with its key (--certificate"),
        ("ADMIN_CA", str(tmp_path / "other.crt"), "certificate verify failed"),
        ("ADMIN_CA", str(stranger.key), "holds no authority's certificate (--ca"),
        ("ADMIN_URL", "http://127.0.0.1:9200", "is no https:// address"),
    ):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            answer = await guarded("admin", "nodes", "list")
        assert (answer.code, told in answer.err) == (1, True), answer.err
