"""Software upgrades: the chain stops before the agreed block, and goes on with the version that knows the plan."""

import json
from collections.abc import Iterator
from pathlib import Path

import cosmpy.protos  # noqa: F401
import pytest
import structlog
from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.upgrade.v1beta1 import query_pb2 as q
from cosmos.upgrade.v1beta1.tx_pb2 import MsgCancelUpgrade, MsgSoftwareUpgrade
from cosmos.upgrade.v1beta1.upgrade_pb2 import Plan
from google.protobuf.timestamp_pb2 import Timestamp
from tendermint.abci import types_pb2 as abci

from pivot.chain.application import Application
from pivot.chain.errors import NetworkCode, SdkCode
from pivot.chain.exits import EXIT_OK, EXIT_UPGRADE, HALT_FILE
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.modules.upgrade import genesis
from pivot.chain.modules.upgrade.invariants import check_plans
from pivot.chain.modules.upgrade.messages import MAX_INFO_BYTES, MAX_NAME_BYTES
from pivot.chain.modules.upgrade.plans import UPGRADES, TooEarly, TooOld, UpgradeNeeded
from pivot.chain.modules.upgrade.queries import MODULE_VERSIONS
from pivot.chain.modules.upgrade.state import (
    STORE,
    applied,
    applied_height,
    begin,
    last_applied,
    note_applied,
    plan,
    schedule,
)
from pivot.chain.run import UPGRADE_INFO, run
from pivot.chain.server.frames import encode_frame
from pivot.chain.store.database import Database
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import STORES, Block
from tests.chain.chain import plain_block
from tests.chain.modules.governance import Parliament, address
from tests.chain.modules.test_gov_messages import refusal
from tests.chain.test_run import FLUSH, after_start, logged

SERVICE = "cosmos.upgrade.v1beta1.Query"
HEIGHT = 20
INFO = '{"binaries": {"linux/amd64": "https://example.org/pivot"}}'
SENTENCE = f'UPGRADE "v2" NEEDED at height {HEIGHT}: {INFO}'


@pytest.fixture(autouse=True)
def _tables_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("pivot.chain.modules.upgrade.state.UPGRADES", dict(UPGRADES))
    monkeypatch.setattr("pivot.chain.server.connections.FAREWELL_SECONDS", 0.0)
    yield
    structlog.reset_defaults()


def knows(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """From here on the program is a version that knows these plans."""
    monkeypatch.setattr("pivot.chain.modules.upgrade.state.UPGRADES", dict.fromkeys(names, migrate))


def migrate(block: Block) -> None:
    block.state.set("inference", b"migrated", b"yes")


def upgrade(height: int = HEIGHT, name: str = "v2", info: str = INFO) -> MsgSoftwareUpgrade:
    return MsgSoftwareUpgrade(authority=AUTHORITY, plan=Plan(name=name, height=height, info=info))


def agreed(chain: Parliament) -> Parliament:
    """The chain, one block before the upgrade that its members have agreed on."""
    assert chain.pass_(upgrade()).status == gov.PROPOSAL_STATUS_PASSED
    chain.advance(HEIGHT - 1)
    return chain


def test_the_chain_stops_before_the_agreed_block_and_the_next_version_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = agreed(Parliament())
    told = chain.query(f"{SERVICE}/CurrentPlan", q.QueryCurrentPlanRequest()).plan
    assert (told.name, told.height, told.info) == ("v2", HEIGHT, INFO)
    for _ in range(2):
        with pytest.raises(UpgradeNeeded) as halted:
            chain.block()
        assert str(halted.value) == SENTENCE
        assert chain.height == HEIGHT - 1
    before = chain.time
    knows(monkeypatch, "v2")
    chain.application = Application(chain.store)
    assert chain.application.info(abci.RequestInfo()).last_block_height == HEIGHT - 1
    chain.block()
    assert chain.time > before
    assert chain.state.get("inference", b"migrated") == b"yes"
    assert chain.events("upgrade_applied") == [{"name": "v2", "height": str(HEIGHT)}]
    assert chain.query(f"{SERVICE}/AppliedPlan", q.QueryAppliedPlanRequest(name="v2")).height == HEIGHT
    assert not chain.query(f"{SERVICE}/CurrentPlan", q.QueryCurrentPlanRequest()).HasField("plan")
    chain.block()
    assert chain.events("upgrade_applied") == []
    again = chain.pass_(upgrade(height=HEIGHT + 50))
    assert again.status == gov.PROPOSAL_STATUS_FAILED
    assert "has been applied at height 20" in again.failed_reason


def test_a_version_that_knows_the_plan_does_not_start_before_its_height(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Parliament()
    chain.pass_(upgrade())
    knows(monkeypatch, "v2")
    with pytest.raises(TooEarly, match='"v2" is due at height 20: run the version before it'):
        chain.block()


def test_an_old_version_does_not_go_on_after_an_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = agreed(Parliament())
    knows(monkeypatch, "v2")
    chain.block()
    knows(monkeypatch)
    with pytest.raises(TooOld, match='"v2" has been applied'):
        chain.block()


def test_an_upgrade_can_be_called_off() -> None:
    chain = Parliament()
    chain.pass_(upgrade())
    chain.pass_(MsgCancelUpgrade(authority=AUTHORITY))
    assert plan(chain.state) is None
    chain.advance(HEIGHT + 1)
    assert chain.pass_(MsgCancelUpgrade(authority=AUTHORITY)).status == gov.PROPOSAL_STATUS_PASSED


def test_a_later_plan_takes_the_place_of_an_earlier_one() -> None:
    chain = Parliament()
    chain.pass_(upgrade(), upgrade(height=HEIGHT + 5, name="v3"))
    found = plan(chain.state)
    assert found is not None
    assert (found.name, found.height) == ("v3", HEIGHT + 5)


def test_a_height_that_has_passed_while_members_voted_is_refused() -> None:
    """Otherwise the chain would stop at once, or never."""
    record = Parliament().pass_(upgrade(height=5))
    assert record.status == gov.PROPOSAL_STATUS_FAILED
    assert "plan.height: 5 has passed" in record.failed_reason


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (Plan(height=5), "plan.name"),
        (Plan(name="x" * (MAX_NAME_BYTES + 1), height=5), "plan.name"),
        (Plan(name="a\nb", height=5), "plan.name"),
        (Plan(name="v2"), "plan.height"),
        (Plan(name="v2", height=-1), "plan.height"),
        (Plan(name="v2", height=5, time=Timestamp(seconds=1)), "time"),
        (Plan(name="v2", height=5, info="x" * (MAX_INFO_BYTES + 1)), "plan.info"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_name(wrong: Plan, field: str) -> None:
    refused = refusal(MsgSoftwareUpgrade(authority=AUTHORITY, plan=wrong))
    assert (refused.code, field in refused.log) == (SdkCode.INVALID_REQUEST, True)


def test_only_governance_upgrades() -> None:
    for message in (MsgSoftwareUpgrade(authority=address("alice")), MsgCancelUpgrade(authority=address("alice"))):
        assert refusal(message).code == NetworkCode.NOT_GOVERNANCE


def test_versions_of_modules_and_the_authority_are_told() -> None:
    chain = Parliament()
    told = chain.query(f"{SERVICE}/ModuleVersions", q.QueryModuleVersionsRequest()).module_versions
    assert {each.name: each.version for each in told} == MODULE_VERSIONS
    assert {"bank", "gov", "upgrade"} <= MODULE_VERSIONS.keys()
    one = chain.query(f"{SERVICE}/ModuleVersions", q.QueryModuleVersionsRequest(module_name="gov")).module_versions
    assert [(each.name, each.version) for each in one] == [("gov", 1)]
    unknown = q.QueryModuleVersionsRequest(module_name="moon").SerializeToString()
    answer = chain.application.query(abci.RequestQuery(path=f"/{SERVICE}/ModuleVersions", data=unknown))
    assert answer.code == SdkCode.NOT_FOUND
    assert chain.query(f"{SERVICE}/Authority", q.QueryAuthorityRequest()).address == AUTHORITY


def test_an_export_is_loaded_as_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Parliament()
    chain.pass_(upgrade())
    block = plain_block()
    for name, height in (("z", 5), ("a", 9), ("b", 9)):
        note_applied(block.state, name, height)
    note_applied(block.state, "a", 9)
    document = genesis.export(block.state) | {"plan": genesis.export(chain.state)["plan"]}
    genesis.load(loaded := plain_block(), document)
    assert plan(loaded.state) == plan(chain.state)
    assert list(applied(loaded.state)) == [("a", 9), ("b", 9), ("z", 5)]
    assert (last_applied(loaded.state), applied_height(loaded.state, "z")) == ("a", 5)
    assert genesis.export(loaded.state) == document
    knows(monkeypatch, "a")
    begin(loaded)
    genesis.load(empty := plain_block(), genesis.export(plain_block().state))
    assert (plan(empty.state), last_applied(empty.state)) == (None, "")


def test_the_application_ends_with_one_sentence_and_tells_cosmovisor(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chain = agreed(Parliament(store=MemoryDatabase(STORES)))
    home, path = tmp_path / "chain", tmp_path / "a.sock"
    with Database.open(home, STORES) as database:
        rows = {store: dict(chain.state.iterate(store)) for store in STORES}
        database.stage(HEIGHT - 1, rows)
        database.commit()
    ask = abci.Request(finalize_block=chain.block_request(HEIGHT)).SerializeToString()
    for _ in range(2):
        thread = after_start(path, encode_frame(ask), terminate=False)
        assert run(home, path) == EXIT_UPGRADE
        thread.join()
        log = capfd.readouterr().err
        assert logged(log) == ["serving", "the chain waits for another version"]
        assert json.loads(log.splitlines()[-1])["error"] == SENTENCE
        assert "Traceback" not in log
        assert (home / HALT_FILE).read_text() == f"{SENTENCE}\n"
    told = json.loads((home / "data/upgrade-info.json").read_text())
    assert told == {"name": "v2", "time": "0001-01-01T00:00:00Z", "height": HEIGHT, "info": INFO}


def test_a_version_that_is_too_old_ends_with_a_sentence_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise TooOld("v2")

    monkeypatch.setattr(Application, "finalize_block", refuse)
    path = tmp_path / "a.sock"
    ask = abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1)).SerializeToString()
    thread = after_start(path, encode_frame(ask), terminate=False)
    assert run(tmp_path / "chain", path) == EXIT_UPGRADE
    thread.join()
    assert json.loads(capfd.readouterr().err.splitlines()[-1])["error"].startswith('UPGRADE "v2" has been applied')
    assert (tmp_path / "chain" / HALT_FILE).read_text().startswith('UPGRADE "v2" has been applied')
    assert not (tmp_path / "chain" / UPGRADE_INFO).exists()
    thread = after_start(path, FLUSH, terminate=True)
    assert run(tmp_path / "chain", path) == EXIT_OK
    thread.join()
    assert not (tmp_path / "chain" / HALT_FILE).exists(), "it waits for nothing any more"


@pytest.mark.parametrize("scheduled", [Plan(name="v3", height=21), Plan(name="v4", height=20)])
def test_a_plan_that_is_applied_or_behind_the_last_is_noticed(scheduled: Plan) -> None:
    state = plain_block().state
    check_plans(state)
    note_applied(state, "v2", 7)
    note_applied(state, "v3", 20)
    schedule(state, Plan(name="v4", height=21))
    check_plans(state)
    schedule(state, scheduled)
    with pytest.raises(AssertionError, match=f"'{scheduled.name}' is scheduled for {scheduled.height}"):
        check_plans(state)


def test_a_last_plan_that_is_not_the_last_is_noticed() -> None:
    state = plain_block().state
    state.set(STORE, b"\x02", b"v2")
    with pytest.raises(AssertionError, match="'v2' is the last plan applied"):
        check_plans(state)
    note_applied(state, "v3", 20)
    note_applied(state, "v2", 7)
    with pytest.raises(AssertionError, match="'v2' is the last plan applied"):
        check_plans(state)
