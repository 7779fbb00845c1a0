from collections.abc import Iterator

import grpc
import pytest

from pivot.mlnode.training import store as store_module
from pivot.mlnode.training.store import Store, StoreFailed, wait_for
from tests.mlnode.training.fake_store import TOKENS, FakeStore

NODE = "gonka1host/node-1"


@pytest.fixture
def fake() -> Iterator[FakeStore]:
    with FakeStore(1).serving() as fake:
        yield fake


@pytest.fixture
def store(fake: FakeStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(store_module, "POLL_S", 0.01)
    store = Store(fake.url, TOKENS + NODE, NODE, 7)
    yield store
    store.close()


def test_a_record_is_found_with_its_writer(store: Store) -> None:
    assert store.get("color") is None
    store.set("color", "blue")
    record = store.get("color")
    assert record
    assert (record.value, record.participant) == ("blue", "gonka1host")
    assert store.written_by("color", "gonka1host") == "blue"


def test_a_record_that_another_host_wrote_is_not_taken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PATIENCE_S", 0.05)
    store.set("certificate-1", "mine")
    with pytest.raises(StoreFailed, match="'certificate-1' of gonka1other did not come"):
        store.written_by("certificate-1", "gonka1other")


def test_a_call_is_repeated_while_the_store_is_away(store: Store, fake: FakeStore) -> None:
    fake.refusals = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
    store.set("color", "blue")
    assert fake.records["color"].value == "blue"


def test_a_refusal_is_final(store: Store, fake: FakeStore) -> None:
    fake.refusals = [grpc.StatusCode.PERMISSION_DENIED]
    with pytest.raises(StoreFailed, match=r"SetStoreRecord: not now \(PERMISSION_DENIED\)"):
        store.set("color", "blue")


def test_a_wrong_token_is_a_refusal(fake: FakeStore) -> None:
    stranger = Store(fake.url, "guessed", NODE, 7)
    with pytest.raises(StoreFailed, match="UNAUTHENTICATED"):
        stranger.join()
    stranger.close()


def test_a_barrier_opens_when_all_have_come(store: Store, fake: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.join()
    store.barrier("trained", 8)
    assert fake.arrived == {"trained": {NODE}}
    fake.joined.add("gonka1other/node-1")
    monkeypatch.setattr(store_module, "PATIENCE_S", 0.05)
    with pytest.raises(StoreFailed, match="the others at the barrier 'trained'"):
        store.barrier("trained", 8)


def test_what_is_found_at_once_is_not_waited_for() -> None:
    assert wait_for(lambda: "found", "it") == "found"
