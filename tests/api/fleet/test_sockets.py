import socket

import aiohttp

from pivot.api.fleet import sockets


async def test_a_connection_to_a_machine_that_is_switched_off_ends(http: aiohttp.ClientSession) -> None:
    with sockets.kept_alive((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        told = [made.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
        assert told == [sockets.IDLE_S, sockets.INTERVAL_S, sockets.PROBES]
    assert isinstance(http.connector, aiohttp.TCPConnector)
    assert http.connector._socket_factory is sockets.kept_alive
