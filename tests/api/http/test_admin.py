import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.api.fleet import reach
from pivot.api.fleet.load import FAILURES_TO_OPEN
from pivot.api.http.admin import OpenAdminPort, admin_app
from pivot.api.inference.engine import EngineFailed
from pivot.protocol.generated.inference.inference.types_pb2 import EpochGroupData, MLNodeInfo, Model
from pivot.protocol.mlnode_api import Mode, PowState
from tests.api.fleet.chain import MODEL, FakeChain, FakePhases, epoch, group, until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.poc.host import Host, host
from tests.api.poc.test_prover import MARKS
from tests.api.serving import serving

H100 = {"type": "NVIDIA H100", "count": 8}


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Host]:
    chain = FakeChain()
    async with host(chain, FakePhases(chain), tmp_path) as one:
        yield one


@pytest.fixture
async def admin(one: Host) -> AsyncIterator[str]:
    async with serving(admin_app(one.settings, one.identity, one.chain, one.fleet)) as url:
        yield f"{url}/admin/v1/nodes"


@pytest.fixture
async def node() -> AsyncIterator[FakeMlNode]:
    async with FakeMlNode.running() as node:
        yield node


async def call(method: str, url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        session.request(method, url, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_node_is_added_replaced_listed_and_removed(admin: str, one: Host) -> None:
    async with FakeMlNode.running() as node:
        wanted = node.declared(models={MODEL: {"args": ["--gpu-memory-utilization", "0.9"]}}, hardware=[H100])
        status, echoed = await call("POST", admin, wanted)
        assert status == 200
        assert {name: echoed[name] for name in wanted} == wanted
        assert (await call("POST", admin, {**wanted, "max_concurrent": 7}))[0] == 200
        status, listed = await call("GET", admin)
        assert status == 200
        (item,) = listed
        assert item["node"] == {
            **wanted,
            "max_concurrent": 7,
            "inference_segment": "",
            "poc_segment": "",
            "version": "",
            "node_num": 1,
        }
        assert await call("DELETE", f"{admin}/node1") == (200, True)
        assert await call("DELETE", f"{admin}/node1") == (200, False)
        assert await call("GET", admin) == (200, [])


async def test_put_replaces_a_node_that_is_there(admin: str) -> None:
    async with FakeMlNode.running() as node:
        assert await call("PUT", f"{admin}/node1", node.declared()) == (404, {"error": "node not found: node1"})
        await call("POST", admin, node.declared())
        without_id = {name: value for name, value in node.declared(max_concurrent=9).items() if name != "id"}
        status, echoed = await call("PUT", f"{admin}/node1", without_id)
        assert (status, echoed["id"], echoed["max_concurrent"]) == (200, "node1", 9)
        assert (await call("GET", admin))[1][0]["node"]["max_concurrent"] == 9
        status, refusal = await call("PUT", f"{admin}/node1", node.declared("node2"))
        assert (status, refusal["error"].startswith("id: ")) == (400, True)
        assert (await call("PUT", f"{admin}/node1", {"host": ""}))[1]["error"].startswith("host: ")


async def test_what_the_list_shows_can_be_put_back_without_losing_the_token(admin: str, one: Host) -> None:
    async with FakeMlNode.running(token="secret") as node:
        assert (await call("POST", admin, node.declared(auth_token="secret")))[0] == 200
        shown = (await call("GET", admin))[1][0]["node"]
        assert "secret" not in str(shown)
        assert (await call("PUT", f"{admin}/node1", {**shown, "max_concurrent": 3}))[0] == 200
        await until(lambda: one.fleet.nodes()[0].reachable)


async def test_a_node_tries_the_call_back_url(admin: str, one: Host) -> None:
    assert (await call("POST", f"{admin}/node1/callback/try"))[0] == 404
    async with FakeMlNode.running(token="secret", callback_status=0) as node:
        assert (await call("POST", admin, node.declared(auth_token="secret")))[0] == 200
        status, told = await call("POST", f"{admin}/node1/callback/try")
        assert (status, told) == (200, {"status": 0, "error": f"{one.settings.api.poc_callback_url} is far"})
        node.callback_status = 401
        assert await call("POST", f"{admin}/node1/callback/try") == (200, {"status": 401, "error": ""})
        node.refuses["/api/v1/callback/try"] = 404
        status, refusal = await call("POST", f"{admin}/node1/callback/try")
        assert (status, "answered 404" in refusal["error"]) == (502, True)


async def test_what_a_node_has_to_say_of_itself_is_listed(admin: str, one: Host) -> None:
    async with FakeMlNode.running(warnings=["GPU 1 is lost."]) as node:
        assert (await call("POST", admin, node.declared()))[0] == 200
        await until(lambda: one.fleet.reports()[0].warnings)
        (item,) = (await call("GET", admin))[1]
        assert item["state"]["warnings"] == ["GPU 1 is lost."]


async def test_the_state_of_a_node_through_an_epoch(admin: str, one: Host) -> None:
    async def state() -> dict[str, Any]:
        (item,) = (await call("GET", admin))[1]
        found: dict[str, Any] = item["state"]
        return found

    async with FakeMlNode.running() as node:
        assert (await call("POST", admin, node.declared()))[0] == 200
        assert (await state())["intended_status"] == "UNKNOWN"
        await one.phases.at(3)
        await until(lambda: one.fleet.nodes()[0].fulfils)
        serving_state = await state()
        assert serving_state["status_timestamp"].endswith("Z")
        assert {k: v for k, v in serving_state.items() if k != "status_timestamp"} == {
            "intended_status": "INFERENCE",
            "current_status": "INFERENCE",
            "poc_intended_status": "IDLE",
            "poc_current_status": "IDLE",
            "lock_count": 0,
            "failure_reason": "",
            "warnings": [],
            "admin_state": {"enabled": True, "epoch": 0},
            "epoch_models": {},
            "epoch_ml_nodes": {},
        }
        async with one.fleet.lend(MODEL, wait_s=0):
            assert (await state())["lock_count"] == 1
        one.chain.latest = epoch(1)
        for height, poc in ((MARKS.poc_start, "GENERATING"), (MARKS.poc_generation_end, "VALIDATING")):
            await one.phases.at(height)
            await until(lambda poc=poc: node.pow == poc and one.fleet.nodes()[0].fulfils)  # type: ignore[misc]
            now = await state()
            assert [now["intended_status"], now["current_status"]] == ["POC", "POC"]
            assert [now["poc_intended_status"], now["poc_current_status"]] == [poc, poc]
            assert (now["poc"]["status"], now["poc"]["epoch"]) == (poc, 1)
        node.refuses["/api/v1/inference/up"] = 500
        await one.phases.at(MARKS.poc_validation_end)
        await until(lambda: "500" in one.fleet.reports()[0].failure_reason)
        failed = await state()
        assert (failed["current_status"], failed["reconcile_info"]) == (
            "FAILED",
            {"status": "INFERENCE", "poc_status": "IDLE"},
        )
    await until(lambda: not one.fleet.nodes()[0].reachable)
    assert (await state())["current_status"] == "FAILED"


async def test_a_node_that_is_healthy_and_fails_its_requests_is_shown_as_failed(admin: str, one: Host) -> None:
    async def failed_request() -> None:
        async with one.fleet.lend(MODEL, wait_s=5):
            raise EngineFailed("CUDA error")

    async with FakeMlNode.running() as node:
        await call("POST", admin, node.declared())
        await one.phases.at(3)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(EngineFailed):
                await failed_request()
        state = (await call("GET", admin))[1][0]["state"]
        assert (state["intended_status"], state["current_status"]) == ("INFERENCE", "FAILED")
        assert state["failure_reason"] == "its requests fail: CUDA error"
        async with one.fleet.lend(MODEL, wait_s=5):
            pass
        assert (await call("GET", admin))[1][0]["state"]["current_status"] == "INFERENCE"


@pytest.mark.parametrize(
    ("mode", "status"), [(Mode.STOPPED, "STOPPED"), (Mode.TRAIN, "TRAINING"), (Mode.INFERENCE, "UNKNOWN")]
)
async def test_a_node_without_a_duty_is_shown_as_it_is(admin: str, one: Host, mode: Mode, status: str) -> None:
    async with FakeMlNode.running(mode=mode, pow=PowState.IDLE, healthy=False) as node:
        await call("POST", admin, node.declared())
        await until(lambda: one.fleet.nodes()[0].reachable)
        assert (await call("GET", admin))[1][0]["state"]["current_status"] == status


async def test_what_the_epoch_gave_a_node_is_shown(admin: str, one: Host, node: FakeMlNode) -> None:
    await call("POST", admin, node.declared())
    given = MLNodeInfo(node_id="node1", node_number=1, poc_weight=45, timeslot_allocation=[True, False])
    one.chain.effective = epoch(1)
    one.chain.groups[1, ""] = EpochGroupData(epoch_index=1, sub_group_models=[MODEL])
    of_model = group(1, {one.address: [given], "gonka1other": [MLNodeInfo(node_number=1)]})
    of_model.model_id = MODEL
    of_model.model_snapshot.CopyFrom(Model(id=MODEL, context_window=1024))
    one.chain.groups[1, MODEL] = of_model
    state = (await call("GET", admin))[1][0]["state"]
    assert state["epoch_models"][MODEL]["context_window"] == 1024
    assert state["epoch_ml_nodes"][MODEL]["poc_weight"] == 45
    one.chain.down = True
    assert (await call("GET", admin))[1][0]["state"]["epoch_models"] == {}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"models": {"no/such": {"args": []}}}, "models: the network does not know the model 'no/such'"),
        ({"models": {MODEL: {"args": ["--max-model-len", "9"]}}}, f"models.{MODEL}.args: "),
        ({"poc_port": 70000}, "poc_port: "),
        ({"inference_port": None}, "inference_port: "),
        ({"host": "http://10.0.0.5:80"}, "host: "),
        ({"models": {MODEL: {"args": "--x"}}}, f"models.{MODEL}.args: "),
        ({"max_concurrent": 0}, "max_concurrent: "),
        ({"id": ""}, "id: "),
    ],
)
async def test_a_bad_node_is_a_400_that_names_the_field(
    admin: str, node: FakeMlNode, fields: dict[str, Any], sentence: str
) -> None:
    await call("POST", admin, node.declared())
    status, refusal = await call("POST", admin, node.declared(**fields))
    assert (status, refusal["error"].startswith(sentence)) == (400, True), refusal
    assert len((await call("GET", admin))[1]) == 1


async def test_an_address_belongs_to_one_node(admin: str, node: FakeMlNode) -> None:
    await call("POST", admin, node.declared())
    for other in (node.declared("node2"), node.declared("node2", host="http://127.0.0.1")):
        status, refusal = await call("POST", admin, other)
        assert (status, refusal) == (400, {"error": f"poc_port: {node.url} belongs to node 'node1' already"})


async def test_a_new_address_where_nobody_answers_is_refused(
    admin: str, node: FakeMlNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "REACH_PATIENCE_S", 0.2)
    nobody = {"poc_port": 1, "inference_port": 2}
    status, refusal = await call("POST", admin, node.declared(**nobody))
    assert (status, refusal["error"].startswith("poc_port: no ML node answers within 0.2 s: ")) == (400, True)
    assert (await call("POST", admin, node.declared()))[0] == 200
    status, refusal = await call("PUT", f"{admin}/node1", node.declared(**nobody))
    assert (status, refusal["error"].startswith("poc_port: ")) == (400, True)


async def test_a_known_node_may_be_changed_while_it_is_down(admin: str) -> None:
    async with FakeMlNode.running() as node:
        await call("POST", admin, node.declared())
    assert (await call("POST", admin, node.declared(max_concurrent=9)))[0] == 200
    assert [item["node"]["max_concurrent"] for item in (await call("GET", admin))[1]] == [9]


async def test_what_is_no_json_is_a_400(admin: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session, session.post(admin, data=b"{", headers=headers) as answer:
        assert (answer.status, await answer.json()) == (400, {"error": "the body is no JSON"})
    assert await call("PATCH", admin) == (405, {"error": "Method Not Allowed"})


async def test_a_batch_says_what_became_of_every_node(admin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "REACH_PATIENCE_S", 0.2)
    async with FakeMlNode.running() as one, FakeMlNode.running() as two:
        good, other = one.declared(), two.declared("node2")
        status, taken = await call("POST", f"{admin}/batch", [good, other])
        assert (status, [node["id"] for node in taken]) == (201, ["node1", "node2"])
        absent = one.declared("absent", poc_port=1)
        status, partly = await call("POST", f"{admin}/batch", [good, {"id": "bad"}, 5, absent, two.declared("twin")])
        assert status == 206
        assert [node["id"] for node in partly["nodes"]] == ["node1"]
        assert [(each["id"], each["error"].partition(":")[0]) for each in partly["errors"]] == [
            ("bad", "host"),
            ("2", "Input should be a valid dictionary or instance of NodeDeclaration"),
            ("absent", "poc_port"),
            ("twin", "poc_port"),
        ]
        status, failed = await call("POST", f"{admin}/batch", [{"id": "bad"}])
        assert (status, failed["nodes"]) == (400, [])
        assert (await call("POST", f"{admin}/batch", [1] * 1001))[0] == 400
        assert len((await call("GET", admin))[1]) == 2


async def test_of_two_nodes_of_a_batch_with_one_address_the_first_is_taken(admin: str, node: FakeMlNode) -> None:
    status, partly = await call("POST", f"{admin}/batch", [node.declared(), node.declared("node2")])
    assert (status, [each["id"] for each in partly["nodes"]]) == (206, ["node1"])
    assert [each["id"] for each in partly["errors"]] == ["node2"]


async def test_a12_unknown_ids_are_answered_and_lock_nothing(admin: str, node: FakeMlNode) -> None:
    await call("POST", admin, node.declared())
    for action in ("enable", "disable"):
        answers = await asyncio.gather(*(call("POST", f"{admin}/nobody/{action}") for _ in range(5)))
        assert answers == [(404, {"error": "node not found: nobody"})] * 5
    assert await call("POST", f"{admin}/node1/disable") == (
        200,
        {"message": "node disabled successfully", "node_id": "node1"},
    )
    assert (await call("GET", admin))[1][0]["state"]["admin_state"] == {"enabled": False, "epoch": 0}
    assert (await call("POST", f"{admin}/node1/enable"))[1]["message"] == "node enabled successfully"


async def test_a_disable_lasts_to_the_epochs_end_and_an_enable_in_the_sprint_waits(
    admin: str, one: Host, node: FakeMlNode
) -> None:
    async def state() -> dict[str, Any]:
        found: dict[str, Any] = (await call("GET", admin))[1][0]["state"]
        return found

    await call("POST", admin, node.declared())
    one.chain.latest = one.chain.effective = epoch(1)
    await one.phases.at(MARKS.poc_validation_end)
    await call("POST", f"{admin}/node1/disable")
    await until(lambda: node.mode == Mode.INFERENCE)  # its duties until the epoch ends
    assert (await state())["admin_state"] == {"enabled": False, "epoch": 1}
    one.chain.latest = epoch(2, MARKS.next_poc_start)
    sprint = one.chain.latest.boundaries
    await one.phases.at(sprint.poc_start)
    await until(lambda: node.mode == Mode.STOPPED)
    await call("POST", f"{admin}/node1/enable")
    await one.phases.at(sprint.poc_start + 1)
    assert (await state())["intended_status"] == "STOPPED"  # the sprint goes on without it
    await one.phases.at(sprint.poc_validation_end)
    await until(lambda: node.mode == Mode.INFERENCE)


async def test_ids_may_hold_slashes(admin: str, node: FakeMlNode) -> None:
    await call("POST", admin, node.declared("rack1/gpu2"))
    assert (await call("POST", f"{admin}/rack1%2Fgpu2/disable"))[0] == 200
    assert await call("DELETE", f"{admin}/rack1%2Fgpu2") == (200, True)


async def test_without_the_chain_nothing_is_added(admin: str, one: Host, node: FakeMlNode) -> None:
    one.chain.down = True
    assert await call("POST", admin, node.declared()) == (503, {"error": "the chain is down"})
    assert await call("GET", admin) == (200, [])


async def test_a39_the_token_is_demanded_when_there_is_one(one: Host) -> None:
    one.settings.api.admin_token = "secret"
    one.settings.api.admin_server_host = "0.0.0.0"
    async with serving(admin_app(one.settings, one.identity, one.chain, one.fleet)) as url:
        assert (await call("GET", f"{url}/admin/v1/nodes"))[0] == 401
        assert await call("GET", f"{url}/admin/v1/nodes", Authorization="Bearer secret") == (200, [])


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::", "api"])
async def test_a39_a_port_that_others_reach_needs_a_token(one: Host, address: str) -> None:
    one.settings.api.admin_server_host = address
    with pytest.raises(OpenAdminPort, match="admin_token"):
        admin_app(one.settings, one.identity, one.chain, one.fleet)
    one.settings.api.admin_server_host = "localhost"
    admin_app(one.settings, one.identity, one.chain, one.fleet)


async def test_a39_a_port_in_a_container_is_judged_by_where_it_is_published(one: Host) -> None:
    one.settings.api.admin_server_host = "0.0.0.0"
    one.settings.api.admin_published_host = "127.0.0.1"
    admin_app(one.settings, one.identity, one.chain, one.fleet)
    one.settings.api.admin_published_host = "10.0.0.5"
    with pytest.raises(OpenAdminPort, match="DAPI_API__ADMIN_PUBLISHED_HOST"):
        admin_app(one.settings, one.identity, one.chain, one.fleet)
