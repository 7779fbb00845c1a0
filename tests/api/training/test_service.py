from pathlib import Path
from typing import Any, cast

from pivot.api.identity import Identity
from pivot.api.settings import ApiSettings
from pivot.api.training.promises import Promises
from pivot.api.training.service import SECRET_FILE, TrainingService, training_secret
from pivot.protocol.mlnode_api import TrainStart
from tests.api.fleet.chain import FakeOutbox, FakePhases, key
from tests.api.training.fleet import FakeFleet
from tests.api.training.network import TrainingChain


def service(
    home: Path, chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases, *, enabled: bool
) -> TrainingService:
    settings = ApiSettings(home=home)
    settings.training.enabled, settings.training.server_port = enabled, 0
    identity = Identity(account=key(1), gateway=key(2))
    return TrainingService(settings, identity, chain, outbox, cast(Any, FakeFleet()), phases)


def promise(home: Path) -> None:
    promises = Promises(home)
    promises.make(7, ["node1"], until=100)
    promises.begin("node1", TrainStart(train_config={}, train_env={"TASK_ID": "7"}))


async def test_a_host_that_trains_has_a_store_and_remembers_its_promises(
    tmp_path: Path, chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    promise(tmp_path)
    trains = service(tmp_path, chain, outbox, phases, enabled=True)
    await trains.start()
    duty = trains.training_of("node1")
    assert (trains.store_port > 0, duty and duty.task_id, trains.training_of("node2")) == (True, "7", None)
    await trains.close()


async def test_a_host_does_not_train_unless_it_says_so(
    tmp_path: Path, chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    promise(tmp_path)
    rests = service(tmp_path, chain, outbox, phases, enabled=False)
    await rests.start()
    assert (rests.locking, rests.training_of("node1"), rests.store_port) == (None, None, 0)
    await rests.close()


def test_the_secret_is_made_once_and_kept_to_the_host(tmp_path: Path) -> None:
    secret = training_secret(tmp_path)
    assert training_secret(tmp_path) == secret
    assert (tmp_path / SECRET_FILE).stat().st_mode & 0o077 == 0
    (tmp_path / SECRET_FILE).write_text("\n")
    assert training_secret(tmp_path) not in {"", secret}
