"""A devnet's plan: fresh keys, free ports, the same at every start."""

import json
from pathlib import Path

import pytest

from pivot.devnet.genesis import build_genesis
from pivot.devnet.network import end_orphans, prepare, running
from pivot.devnet.plan import DevnetError, Plan, contract, load_plan, new_plan
from pivot.devnet.processes import engine_home


def test_the_plan_on_disk_is_the_plan_that_was_made(tmp_path: Path) -> None:
    plan = new_plan(hosts=2, ml_nodes=2, preset="test")
    plan.save(tmp_path)
    assert load_plan(tmp_path) == plan
    assert (tmp_path / "plan.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("signer", "listeners"), [("local", 8), ("tmkms", 9)])
def test_no_two_listeners_share_a_port(signer: str, listeners: int) -> None:
    plan = new_plan(hosts=3, ml_nodes=2, preset="test", signer=signer)
    ports = [
        port for host in plan.hosts for name, port in host.model_dump().items() if name.endswith("_port") and port > 0
    ]
    ports += [
        port for host in plan.hosts for node in host.ml_nodes for port in (node.management_port, node.inference_port)
    ]
    assert len(set(ports)) == len(ports) == 3 * (listeners + 4)


@pytest.mark.parametrize(("hosts", "ml_nodes"), [(0, 1), (17, 1), (1, -1), (1, 17)])
def test_sizes_that_one_machine_does_not_hold_are_refused(hosts: int, ml_nodes: int) -> None:
    with pytest.raises(DevnetError, match="1 to 16 hosts"):
        new_plan(hosts=hosts, ml_nodes=ml_nodes, preset="test")


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(DevnetError, match="damaged"):
        Plan.load(tmp_path)


def test_the_genesis_holds_the_whole_supply_and_every_host(tmp_path: Path) -> None:
    plan = new_plan(hosts=2, ml_nodes=1, preset="test")
    genesis = build_genesis(plan, [b"\1" * 32, b"\2" * 32])
    bank = genesis["app_state"]["bank"]
    assert sum(int(each["coins"][0]["amount"]) for each in bank["balances"]) == int(bank["supply"][0]["amount"])
    members = genesis["app_state"]["inference"]["participants"]
    assert [each["participant"]["address"] for each in members] == [host.address for host in plan.hosts]


def test_preparing_twice_keeps_genesis_and_keys(tmp_path: Path) -> None:
    plan = new_plan(hosts=2, ml_nodes=1, preset="test")
    prepare(plan, tmp_path)
    first = engine_home(tmp_path, 1).genesis_file.read_text()
    prepare(plan, tmp_path)
    assert (
        engine_home(tmp_path, 0).genesis_file.read_text() == engine_home(tmp_path, 1).genesis_file.read_text() == first
    )


def test_the_contract_names_what_tools_need(tmp_path: Path) -> None:
    plan = new_plan(hosts=1, ml_nodes=2, preset="devnet")
    document = json.loads(json.dumps(contract(plan, tmp_path)))
    assert set(document) == {"chain_id", "developer", "hosts", "model"}
    assert set(document["developer"]) == {"address", "private_key_hex", "api_key"}
    names = {
        "address",
        "public_url",
        "admin_url",
        "callback_url",
        "rpc_url",
        "rest_url",
        "grpc_url",
        "home",
        "ml_nodes",
    }
    assert set(document["hosts"][0]) == names
    assert [set(node) for node in document["hosts"][0]["ml_nodes"]] == [{"id", "management_url", "inference_url"}] * 2


def test_a_network_that_nobody_supervises_is_not_running(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    (tmp_path / "processes.json").write_text(json.dumps({"supervisor": 2**22 - 1, "processes": []}))
    assert running(tmp_path) is None
    end_orphans(tmp_path)
