import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pivot.api.database import Database
from pivot.api.fleet import hardware as module
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.hardware import HardwareReport, hardware_diff
from pivot.api.fleet.registry import Registry
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from tests.api.fleet.chain import FakeChain, FakeOutbox, key, until

ADDRESS = key(1).address


def node(node_id: str, port: int, **fields: Any) -> NodeDeclaration:
    document = {"id": node_id, "host": "10.0.0.5", "inference_port": port, "poc_port": port + 1, "max_concurrent": 1}
    return NodeDeclaration.parse({**document, "models": {"b": {}, "a": {}}, **fields})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)


@pytest.fixture(autouse=True)
def _models(chain: FakeChain) -> None:
    chain.models = [Model(id="a"), Model(id="b")]


@pytest.fixture
async def report(database: Database, chain: FakeChain, outbox: FakeOutbox) -> AsyncIterator[HardwareReport]:
    report = HardwareReport(Registry(database), ADDRESS, chain, outbox)
    yield report
    await report.close()


def sent(outbox: FakeOutbox) -> list[Any]:
    return list(outbox.messages.values())


async def test_nodes_are_told_with_numbers_and_models(
    database: Database, chain: FakeChain, outbox: FakeOutbox, report: HardwareReport
) -> None:
    outbox.on_put = chain.take_hardware
    registry = Registry(database)
    await registry.put(node("one", 1000, hardware=[{"type": "H100", "count": 8}]))
    report.start()
    await until(lambda: len(sent(outbox)) == 1)
    (told,) = sent(outbox)[0].newOrModified
    assert (told.local_id, told.node_number, list(told.models), told.port) == ("one", 1, ["a", "b"], "1001")
    assert [(each.type, each.count) for each in told.hardware] == [("H100", 8)]
    assert sent(outbox)[0].creator == ADDRESS
    report.changed()
    await registry.put(node("two", 2000))
    report.changed()
    await until(lambda: len(sent(outbox)) == 2)
    assert [each.local_id for each in sent(outbox)[1].newOrModified] == ["two"]
    await registry.remove("one")
    report.changed()
    await until(lambda: len(sent(outbox)) == 3)
    assert [each.local_id for each in sent(outbox)[2].removed] == ["one"]


async def test_a_chain_that_is_not_up_yet_is_told_later(
    database: Database, chain: FakeChain, outbox: FakeOutbox, report: HardwareReport
) -> None:
    chain.down = True
    await Registry(database).put(node("one", 1000))
    report.start()
    await until(lambda: len(chain.asked) > 2)
    assert not sent(outbox)
    chain.down = False
    await until(lambda: sent(outbox))


async def test_a_refused_report_is_sent_again_under_another_key(
    database: Database, chain: FakeChain, outbox: FakeOutbox, report: HardwareReport
) -> None:
    answers = iter([7, 7, 0])
    outbox.on_put = lambda _key, _message: next(answers)
    await Registry(database).put(node("one", 1000))
    report.start()
    await until(lambda: len(sent(outbox)) == 3)
    assert all(name.startswith("hardware:") for name in outbox.messages)


async def test_one_message_under_way_is_not_repeated(
    database: Database, chain: FakeChain, outbox: FakeOutbox, report: HardwareReport
) -> None:
    await Registry(database).put(node("one", 1000))
    report.start()
    await until(lambda: chain.asked.count("HardwareNodes") > 3)
    assert len(sent(outbox)) == 1


async def test_a_status_is_no_reason_for_a_report(database: Database) -> None:
    registry = Registry(database)
    await registry.put(node("one", 1000))
    first = hardware_diff(ADDRESS, await registry.nodes(), [], {"a", "b"})
    assert first is not None
    assert hardware_diff(ADDRESS, await registry.nodes(), first.newOrModified, {"a", "b"}) is None
    await registry.set_enabled("one", 3, enabled=False)
    changed = hardware_diff(ADDRESS, await registry.nodes(), first.newOrModified, {"a", "b"})
    assert changed is not None


async def test_a_model_that_the_network_does_not_know_spoils_no_report_and_is_told_when_it_does(
    database: Database,
    chain: FakeChain,
    outbox: FakeOutbox,
    report: HardwareReport,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "UNKNOWN_MODEL_PAUSE_S", 0.05)
    outbox.on_put = chain.take_hardware
    await Registry(database).put(node("one", 1000, models={"a": {}, "c": {}}))
    await Registry(database).put(node("two", 2000, models={"c": {}}))
    report.start()
    await until(lambda: len(sent(outbox)) == 1)
    assert [(each.local_id, list(each.models)) for each in sent(outbox)[0].newOrModified] == [
        ("one", ["a"]),
        ("two", []),
    ]
    await until(lambda: chain.asked.count("ModelsAll") > 3)
    assert caplog.text.count("does not know the model 'c'") == 1
    chain.models.append(Model(id="c"))
    await until(lambda: len(sent(outbox)) == 2)
    assert [list(each.models) for each in sent(outbox)[1].newOrModified] == [["a", "c"], ["c"]]
    looks = chain.asked.count("ModelsAll")
    await asyncio.sleep(0.3)
    assert chain.asked.count("ModelsAll") <= looks + 1  # nothing is left out any more
