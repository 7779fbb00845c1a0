"""Ports: free before the start, answering after it, and closed on the side from which nobody should come."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from pivot.doctor.finding import Finding, ok, skipped, warning, wrong

CONNECT_TIMEOUT_S = 3.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where to reach what listens on all addresses


@dataclass(frozen=True)
class Port:
    """One port of a host."""

    name: str
    bound: str
    """The address on which it listens."""
    number: int

    @property
    def host(self) -> str:
        """Where the machine itself reaches it."""
        return EVERYWHERE.get(self.bound, self.bound)

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.number}" if ":" in self.host else f"http://{self.host}:{self.number}"

    @property
    def check(self) -> str:
        return f"port {self.number}"

    def __str__(self) -> str:
        return f"{self.name} at {self.host}:{self.number}"


def port_is_free(port: Port, *, taken: bool) -> Finding:
    """Before the start nobody else may hold it."""
    if taken:
        return wrong(port.check, f"something listens there already, where {port} will be", _who(port.number))
    return ok(port.check, f"free for {port.name}")


def port_answers(port: Port, *, listens: bool, remedy: str) -> Finding:
    """After the start it is taken by what should be there."""
    if listens:
        return ok(port.check, f"{port} listens")
    return wrong(port.check, f"nothing listens for {port}", remedy)


def port_is_closed_to_the_public(port: Port, public_host: str, *, public: bool, connects: bool) -> Finding:
    """Not reachable at the host's public address (as far as that can be seen from the host itself)."""
    check = f"{port.check} from outside"
    if not public:
        return skipped(check, f"{public_host or 'PUBLIC_URL'} is no public address")
    if connects:
        remedy = "publish it on 127.0.0.1 or a private address, or close it in the firewall"
        return wrong(check, f"{port.name} is open at {public_host}:{port.number}", remedy)
    return ok(check, f"{port.name} is closed at {public_host}")


def rpc_is_closed_to_the_public(port: Port, public_host: str, *, public: bool, connects: bool) -> Finding:
    """An RPC may be shown to everybody on purpose; it costs the node work."""
    if connects and public:
        return warning(
            f"{port.check} from outside",
            f"{port.name} is open at {public_host}:{port.number}",
            "if you do not mean to serve others, set RPC_ADDRESS=127.0.0.1",
        )
    return port_is_closed_to_the_public(port, public_host, public=public, connects=connects)


def peers_can_dial(address: str, *, connects: bool, elsewhere: bool) -> Finding:
    """The P2P port at the address that peers are told. elsewhere: as of `is_elsewhere`."""
    if not address:
        remedy = "set P2P_EXTERNAL_ADDRESS=tcp://<host>:5000, so that others can dial this node"
        return warning("p2p", "P2P_EXTERNAL_ADDRESS is not set", remedy)
    if not connects and elsewhere:
        return skipped("p2p", f"{_untried(address)}: `nc -vz <host> <port>` there")
    if not connects:
        return wrong(
            "p2p",
            f"nobody answers at {address}",
            "open that port in the firewall and to the chain node (5000 to 26656)",
        )
    return ok("p2p", f"{address} answers")


def public_url_is_no_loopback(url: str, *, loopback: bool, on_purpose: bool) -> Finding:
    """Other hosts and developers can follow the public URL. on_purpose: a devnet lives on one machine."""
    if loopback and not on_purpose:
        return wrong("public url", f"{url} leads others to themselves", "set PUBLIC_URL to this host's public address")
    return ok("public url", url)


def public_url_leads_here(url: str, told: str | None, own: str | None, *, elsewhere: bool) -> Finding:
    """What answers at the public URL is this host's API node.

    told, own: addresses of the host that answered, and of this one. elsewhere: as of `is_elsewhere`.
    """
    if told is None and elsewhere:
        return skipped("public url", f"{_untried(url)}: `curl {url}/v1/identity` there")
    if told is None:
        remedy = "open the port to everybody, check PUBLIC_URL, and whether the proxy runs"
        return wrong("public url", f"no API node answers at {url}", remedy)
    if own is not None and told != own:
        return wrong(
            "public url", f"{url} is another host's: {told}, not {own}", "set PUBLIC_URL to this host's own address"
        )
    return ok("public url", f"{url} is {told}")


async def connects(host: str, number: int) -> bool:
    """Whether somebody takes a connection."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, number)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def is_public(host: str) -> bool:
    """Whether a name or address is one of the public internet's."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(ipaddress.ip_address(address[0]).is_global for *_, address in found)


async def is_elsewhere(host: str) -> bool:
    """Whether a name stands for addresses of which none is this machine's own.

    Then a connection from here that fails says nothing about others: a container, and a machine behind a router, often
    cannot come back to itself by way of the address that is published for it.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    return not any(_is_own(family, address) for family, _, _, _, address in found)


def _is_own(family: int, address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


def _untried(place: str) -> str:
    return f"{place} is not reached, and cannot be tried from here, as it is no address of this machine; try it from another"


def _who(number: int) -> str:
    return f"find it with `ss -ltnp 'sport = :{number}'` and stop it, or choose another port"
