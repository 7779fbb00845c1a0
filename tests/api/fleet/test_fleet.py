import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.api.database import Database
from pivot.api.fleet import fleet as module
from pivot.api.fleet import reconciler
from pivot.api.fleet.declaration import InvalidNode, NodeDeclaration
from pivot.api.fleet.fleet import HostFleet, parse_node_config
from pivot.api.fleet.interface import Duty, FleetNode, NoNodeAvailable, Serve, Stop, Validate
from pivot.api.fleet.models import registered_models, serving
from pivot.api.fleet.registry import UnknownNode
from pivot.api.identity import Identity
from pivot.api.ledger.interface import ChainUnavailable
from pivot.api.settings import ApiSettings
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from pivot.protocol.mlnode_api import Mode
from tests.api.fleet.chain import MODEL, FakeChain, FakeOutbox, epoch, until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.fleet.test_checking import request
from tests.api.fleet.test_reconciler import init


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "POLL_S", 0.05)
    monkeypatch.setattr(reconciler, "TRANSITION_POLL_S", 0.02)
    monkeypatch.setattr(module, "DRAIN_POLL_S", 0.02)


@pytest.fixture
async def fleet(
    database: Database,
    http: aiohttp.ClientSession,
    settings: ApiSettings,
    identity: Identity,
    chain: FakeChain,
    outbox: FakeOutbox,
) -> AsyncIterator[HostFleet]:
    chain.latest = chain.effective = epoch(4)
    fleet = HostFleet(database, http, settings, identity, chain, outbox)
    await fleet.start()
    fleet.assign(serve)
    yield fleet
    await fleet.close()


def serve(_: FleetNode) -> Duty:
    return Serve(MODEL)


def parsed(node: FakeMlNode, node_id: str = "node1", **fields: Any) -> NodeDeclaration:
    return NodeDeclaration.parse(node.declared(node_id, **fields))


async def test_an_added_node_serves_and_is_lent(fleet: HostFleet, outbox: FakeOutbox) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        async with fleet.lend(MODEL, wait_s=5) as lease:
            assert lease.inference_url == node.url
        (view,) = fleet.nodes()
        assert (view.node_number, view.fulfils, view.duty) == (1, True, Serve(MODEL))
        await until(lambda: outbox.messages)


async def test_two_nodes_serve_two_models_at_once(fleet: HostFleet, chain: FakeChain) -> None:
    other = "Qwen/QwQ-32B"
    chain.models.append(Model(id=other, hf_commit="0a1b"))
    registered = await registered_models(chain)
    fleet.assign(lambda node: serving(node.models, registered) or Stop())
    async with FakeMlNode.running() as first, FakeMlNode.running() as second:
        await fleet.put(parsed(first))
        await fleet.put(parsed(second, "node2", models={other: {"args": ["-tp", "2"]}}))
        async with fleet.lend(MODEL, wait_s=5) as one, fleet.lend(other, wait_s=5) as another:
            assert (one.inference_url, another.inference_url) == (first.url, second.url)
        duties = {node.id: node.duty for node in fleet.nodes()}
        assert duties["node2"] == Serve(other, ("--revision", "0a1b", "--tensor-parallel-size", "2"))


async def test_a1_the_fleet_survives_a_restart(
    fleet: HostFleet,
    database: Database,
    http: aiohttp.ClientSession,
    settings: ApiSettings,
    identity: Identity,
    chain: FakeChain,
    outbox: FakeOutbox,
    tmp_path: Path,
) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        settings.node_config_path = tmp_path / "node-config.json"
        settings.node_config_path.write_text(json.dumps([node.declared("other", poc_port=1, inference_port=2)]))
        again = HostFleet(database, http, settings, identity, chain, outbox)
        await again.start()
        assert [each.id for each in again.nodes()] == ["node1"]  # the file is for the first start only
        await again.close()


async def test_a1_node_config_is_loaded_on_the_first_start(
    database: Database,
    http: aiohttp.ClientSession,
    settings: ApiSettings,
    identity: Identity,
    chain: FakeChain,
    outbox: FakeOutbox,
    tmp_path: Path,
) -> None:
    chain.down = True  # the chain may come up later than this node
    async with FakeMlNode.running() as node:
        settings.node_config_path = tmp_path / "node-config.json"
        settings.node_config_path.write_text(json.dumps([node.declared()]))
        fleet = HostFleet(database, http, settings, identity, chain, outbox)
        await fleet.start()
        assert [each.id for each in fleet.nodes()] == ["node1"]
        await fleet.close()


@pytest.mark.parametrize(("name", "told"), [("missing.json", "No such file"), ("", "Is a directory")])
async def test_a_node_config_that_is_no_file_is_refused_by_the_variable(
    name: str,
    told: str,
    database: Database,
    http: aiohttp.ClientSession,
    settings: ApiSettings,
    identity: Identity,
    chain: FakeChain,
    outbox: FakeOutbox,
    tmp_path: Path,
) -> None:
    settings.node_config_path = tmp_path / name
    fleet = HostFleet(database, http, settings, identity, chain, outbox)
    with pytest.raises(InvalidNode, match=f"^NODE_CONFIG_PATH \\(NODE_CONFIG in config.env\\): {tmp_path}.*{told}"):
        await fleet.start()


@pytest.mark.parametrize(("raw", "named"), [(b"{", "no JSON"), (b"{}", "a list"), (b'[{"id": "a"}]', "node 0: host")])
def test_a_bad_node_config_is_refused_by_place(raw: bytes, named: str) -> None:
    with pytest.raises(InvalidNode, match=named):
        parse_node_config(raw)


async def test_a_replaced_node_keeps_its_number_and_is_told_what_has_changed(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        await until(lambda: fleet.nodes()[0].fulfils)
        await fleet.put(parsed(node, max_concurrent=7))
        await until(lambda: fleet.nodes()[0].fulfils)
        assert [(each.node_number, each.max_concurrent) for each in fleet.nodes()] == [(1, 7)]
        assert node.calls.count("/api/v1/inference/up") == 1
        node.hangs.add("/api/v1/state")  # so it cannot be told before it is replaced once more
        await fleet.put(parsed(node, models={MODEL: {"args": ["-tp", "2"]}}))
        node.hangs.clear()
        await fleet.put(parsed(node, models={MODEL: {"args": ["-tp", "2"]}}, max_concurrent=3))
        await until(lambda: fleet.nodes()[0].fulfils)
        assert node.calls.count("/api/v1/inference/up") == 2


async def test_a10_streams_of_a_node_that_is_declared_anew_still_take_its_places(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node, max_concurrent=2))
        async with fleet.lend(MODEL, wait_s=5), fleet.lend(MODEL, wait_s=5):
            await fleet.put(parsed(node, max_concurrent=3))
            await until(lambda: fleet.nodes()[0].fulfils)
            assert fleet.reports()[0].leases == 2
            async with fleet.lend(MODEL, wait_s=5):
                with pytest.raises(NoNodeAvailable):
                    async with fleet.lend(MODEL, wait_s=0.05):
                        pass
        assert fleet.reports()[0].leases == 0


async def test_a10_streams_of_a_node_that_was_removed_and_added_again_still_take_its_places(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node, max_concurrent=2))
        async with fleet.lend(MODEL, wait_s=5), fleet.lend(MODEL, wait_s=5):
            await fleet.remove("node1")
            await fleet.put(parsed(node, "node2", max_concurrent=2))
            await until(lambda: fleet.nodes()[0].fulfils)
            with pytest.raises(NoNodeAvailable):
                async with fleet.lend(MODEL, wait_s=0.05):
                    pass
        async with fleet.lend(MODEL, wait_s=5) as lease:
            assert lease.node_id == "node2"


async def test_streams_may_end_before_an_engine_starts_again_with_other_arguments(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        async with fleet.lend(MODEL, wait_s=5):
            await fleet.put(parsed(node, models={MODEL: {"args": ["-tp", "2"]}}))
            with pytest.raises(NoNodeAvailable):  # no new ones
                async with fleet.lend(MODEL, wait_s=0.3):
                    pass
            assert "/api/v1/stop" not in node.calls
        await until(lambda: fleet.nodes()[0].fulfils)
        assert node.calls.count("/api/v1/inference/up") == 2


async def test_a_machine_that_another_takes_the_place_of_ends_its_answers_and_is_stopped(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as old, FakeMlNode.running() as new:
        await fleet.put(parsed(old, max_concurrent=1))
        async with fleet.lend(MODEL, wait_s=5) as before:
            await fleet.put(parsed(new, max_concurrent=1))
            async with fleet.lend(MODEL, wait_s=5) as after:
                assert (before.inference_url, after.inference_url) == (old.url, new.url)
            await asyncio.sleep(0.1)
            assert old.mode == Mode.INFERENCE
        await until(lambda: old.mode == Mode.STOPPED)
        assert new.mode == Mode.INFERENCE


async def test_an_unknown_model_or_an_unreachable_chain_adds_nothing(fleet: HostFleet, chain: FakeChain) -> None:
    async with FakeMlNode.running() as node:
        with pytest.raises(InvalidNode, match="no/such"):
            await fleet.put(parsed(node, models={"no/such": {}}))
        chain.down = True
        with pytest.raises(ChainUnavailable):
            await fleet.put(parsed(node))
        assert fleet.nodes() == []


async def test_a_removed_node_ends_its_answers_and_is_stopped(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        async with fleet.lend(MODEL, wait_s=5):
            assert await fleet.remove("node1")
            with pytest.raises(NoNodeAvailable):
                async with fleet.lend(MODEL, wait_s=5):
                    pass
            await asyncio.sleep(0.1)
            assert node.mode == Mode.INFERENCE
        await until(lambda: node.mode == Mode.STOPPED)
    assert not await fleet.remove("node1")


async def test_a_machine_that_came_back_under_another_id_is_not_stopped(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        async with fleet.lend(MODEL, wait_s=5):
            await fleet.remove("node1")
            await fleet.put(parsed(node, "node2"))
        await until(lambda: not fleet._draining)
        assert node.mode == Mode.INFERENCE
        assert node.calls.count("/api/v1/stop") == 0


async def test_a_stuck_removed_node_is_stopped_after_all(
    fleet: HostFleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "DRAIN_TIMEOUT_S", 0.05)
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        node.refuses["/api/v1/stop"] = 500
        async with fleet.lend(MODEL, wait_s=5):
            await fleet.remove("node1")
            await until(lambda: not fleet._draining)
    assert "1 requests under way" in caplog.text


async def test_a_disabled_node_is_marked_with_the_latest_epoch(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        await fleet.set_enabled("node1", enabled=False)
        assert [(each.enabled, each.changed_in_epoch) for each in fleet.nodes()] == [(False, 4)]
        with pytest.raises(UnknownNode):
            await fleet.set_enabled("node9", enabled=False)


async def test_leaves_are_checked_by_a_node_that_validates(fleet: HostFleet) -> None:
    async with FakeMlNode.running(silent_checks=True) as node:
        await fleet.put(parsed(node))
        fleet.assign(lambda _: Validate(init()))
        asking = asyncio.create_task(fleet.distances(request(), timeout_s=5))
        await until(lambda: node.checked)
        fleet.accept_distances("b", [3, 2, 1])
        assert await asking == [3, 2, 1]


@pytest.mark.parametrize("patience_s", [5.0, 0.1])
async def test_answers_under_way_may_end_before_the_sprint_but_not_for_long(
    fleet: HostFleet, monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    monkeypatch.setattr(reconciler, "LAST_ANSWERS_S", patience_s)
    async with FakeMlNode.running() as node:
        await fleet.put(parsed(node))
        async with fleet.lend(MODEL, wait_s=5):
            fleet.assign(lambda _: Validate(init()))
            with pytest.raises(NoNodeAvailable):  # no new ones
                async with fleet.lend(MODEL, wait_s=0.3):
                    pass
            assert (node.mode == Mode.INFERENCE) == (patience_s > 1)
        await until(lambda: node.mode == Mode.POW)


async def test_a_item15_two_changes_of_one_node_at_once_leave_one_node(fleet: HostFleet) -> None:
    async with FakeMlNode.running() as node:
        await asyncio.gather(*(fleet.put(parsed(node, max_concurrent=n)) for n in range(1, 6)))
        assert len(fleet.nodes()) == 1
