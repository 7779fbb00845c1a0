"""Connections between the nodes of a run: who is let in, who is left out, what cannot be read on the way."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from pivot.mlnode.training import peers
from pivot.mlnode.training.peers import Credentials, Hub, PeersLost, Spoke
from pivot.mlnode.training.tiny_model import Floats

ADDRESS = "127.0.0.1"
Background = Callable[..., Future[Spoke]]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "GATHERING_S", 2.0)
    monkeypatch.setattr(peers, "SILENCE_S", 3.0)
    monkeypatch.setattr(peers, "RETRY_S", 0.02)
    monkeypatch.setattr(peers, "CONNECT_S", 1.0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def met(pool: ThreadPoolExecutor, size: int) -> tuple[Hub, list[Spoke]]:
    """A run of so many nodes, all connected."""
    credentials = [Credentials(f"gonka1host/node-{rank}") for rank in range(size)]
    hub = Hub(credentials[0], ADDRESS, 0, {rank: credentials[rank].certificate for rank in range(1, size)})
    connecting = [
        pool.submit(Spoke, credentials[rank], ADDRESS, hub.port, credentials[0].certificate) for rank in range(1, size)
    ]
    hub.gather()
    return hub, [each.result() for each in connecting]


def test_all_get_the_mean_of_all(pool: ThreadPoolExecutor) -> None:
    hub, spokes = met(pool, 3)
    answers = [pool.submit(spoke.mean, floats(0.0, 3.0 * rank)) for rank, spoke in enumerate(spokes, 1)]
    mean = hub.mean(floats(9.0, 0.0))
    assert mean.tolist() == [3.0, 3.0]
    for answer in answers:
        assert answer.result().tobytes() == mean.tobytes()
    for each in (*spokes, hub):
        each.close()


def test_a_run_of_one_is_its_own_mean() -> None:
    hub = Hub(Credentials("gonka1host/node"), ADDRESS, 0, {})
    hub.gather()
    assert hub.mean(floats(1.0)).tolist() == [1.0]
    hub.close()


def test_a_node_that_goes_away_is_left_out(pool: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]) -> None:
    hub, spokes = met(pool, 3)
    spokes[0].close()
    answer = pool.submit(spokes[1].mean, floats(2.0))
    assert hub.mean(floats(4.0)).tolist() == [3.0]
    assert answer.result().tolist() == [3.0]
    assert hub.present == [0, 2]
    assert "rank 1 is left out from here on" in capsys.readouterr().out
    spokes[1].close()
    with pytest.raises(PeersLost, match="all other nodes are gone"):
        hub.mean(floats(1.0))
    hub.close()


def test_a_node_that_sends_what_is_no_number_is_left_out(pool: ThreadPoolExecutor) -> None:
    hub, spokes = met(pool, 3)
    poisoned = pool.submit(spokes[0].mean, floats(float("nan")))
    answer = pool.submit(spokes[1].mean, floats(2.0))
    assert hub.mean(floats(4.0)).tolist() == [3.0]
    assert answer.result().tolist() == [3.0]
    with pytest.raises(PeersLost, match="rank 0 is gone"):
        poisoned.result()
    for each in (*spokes, hub):
        each.close()


def test_a_node_that_sends_a_byte_now_and_then_is_left_out(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "SILENCE_S", 0.3)
    hub, spokes = met(pool, 3)
    answered = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not answered.wait(0.05):
                spokes[0]._socket.send(b"x")

    dripping = pool.submit(drip)
    answer = pool.submit(spokes[1].mean, np.zeros(100, np.float32))
    assert hub.mean(np.ones(100, np.float32))[0] == 0.5
    answered.set()
    assert answer.result()[0] == 0.5
    assert hub.present == [0, 2]
    dripping.result()
    for each in (*spokes, hub):
        each.close()


@pytest.mark.parametrize(
    "shown", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_rank_whose_certificate_cannot_be_read_ends_nobodys_run(pool: ThreadPoolExecutor, shown: str) -> None:
    own, honest = (Credentials(f"gonka1host/node-{rank}") for rank in (0, 1))
    hub = Hub(own, ADDRESS, 0, {1: honest.certificate, 2: shown})
    connecting = pool.submit(Spoke, honest, ADDRESS, hub.port, own.certificate)
    hub.gather()
    assert hub.present == [0, 1]
    connecting.result().close()
    hub.close()
    with pytest.raises(PeersLost, match="cannot be read"):
        Spoke(honest, ADDRESS, 1, shown)


def test_m_item33_each_run_has_keys_of_its_own() -> None:
    """The published node trains over certificates whose private key everybody has."""
    made = [Credentials("gonka1host/node-1") for _ in range(2)]
    assert made[0].certificate != made[1].certificate
    assert all("PRIVATE KEY" not in each.certificate for each in made)


def test_m_item33_a_stranger_with_a_certificate_of_its_own_is_not_let_in(pool: ThreadPoolExecutor) -> None:
    own, expected, stranger = (Credentials("gonka1host/node-1") for _ in range(3))
    hub = Hub(own, ADDRESS, 0, {1: expected.certificate})

    def intrude() -> bytes:
        context = stranger.context(server=False, trusted=[own.certificate])
        with context.wrap_socket(socket.create_connection((ADDRESS, hub.port))) as secured:
            secured.sendall(b"\0\0\x80\x3f")
            return secured.recv(4)

    intruding = pool.submit(intrude)
    with pytest.raises(PeersLost, match="no other node has connected"):
        hub.gather()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        intruding.result()
    hub.close()


def test_a_connection_without_tls_is_not_let_in(pool: ThreadPoolExecutor) -> None:
    hub = Hub(Credentials("a"), ADDRESS, 0, {1: Credentials("b").certificate})
    with socket.create_connection((ADDRESS, hub.port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(PeersLost):
            hub.gather()
    hub.close()


def test_the_same_rank_twice_is_let_in_once(pool: ThreadPoolExecutor) -> None:
    hub_credentials, first, second = (Credentials(f"gonka1host/node-{rank}") for rank in range(3))
    hub = Hub(hub_credentials, ADDRESS, 0, {1: first.certificate, 2: second.certificate})
    gathering = pool.submit(hub.gather)
    spokes = [
        Spoke(credentials, ADDRESS, hub.port, hub_credentials.certificate) for credentials in (first, first, second)
    ]
    gathering.result()
    assert hub.present == [0, 1, 2]
    for each in spokes:
        each.close()
    hub.close()


def test_m_item33_a_rank_0_with_another_certificate_is_not_talked_to(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "GATHERING_S", 1.0)
    own = Credentials("gonka1host/node-1")
    impostor = Hub(Credentials("gonka1host/node-0"), ADDRESS, 0, {1: own.certificate})
    gathering = pool.submit(impostor.gather)
    with pytest.raises(PeersLost, match="cannot be reached"):
        Spoke(own, ADDRESS, impostor.port, Credentials("gonka1host/node-0").certificate)
    with pytest.raises(PeersLost):
        gathering.result()
    impostor.close()


def test_an_address_that_is_a_routers_is_listened_for_everywhere() -> None:
    hub = Hub(Credentials("a"), "192.0.2.1", 0, {})
    with socket.create_connection((ADDRESS, hub.port)):
        pass
    hub.close()
