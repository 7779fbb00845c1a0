"""The ML nodes as the network node sees them, and how they see the network node."""

import ipaddress
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pivot.doctor.finding import Finding, ok, skipped, warning, wrong
from pivot.protocol.mlnode_api import CallbackTried

LOCAL_NAMES = ("localhost", "ip6-localhost")
NOBODY_BEHIND = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
OPEN_CALLBACK = (
    "open the network node's call-back port (CALLBACK_ADDRESS, 9100) to the ML node, and check DAPI_API__POC_CALLBACK_URL: "
    "until then no proof of compute arrives"
)
ADD = "`pivot admin nodes add` adds one"


def ml_nodes_are_registered(listed: Sequence[dict[str, Any]]) -> Finding:
    """A host without ML nodes earns no weight."""
    if not listed:
        return warning("ml nodes", "there are none: this host earns no weight", ADD)
    resting = [item["node"]["id"] for item in listed if not item["state"]["admin_state"]["enabled"]]
    found = f"{len(listed)} registered"
    return ok("ml nodes", f"{found}, disabled: {', '.join(resting)}" if resting else found)


def ml_node_works(item: dict[str, Any]) -> Finding:
    """One ML node does what it should."""
    node, state = item["node"], item["state"]
    check = f"ml node {node['id']}"
    if state["failure_reason"]:
        remedy = f"look at that node; its management port is {node['host']} {node['poc_port']}"
        return wrong(check, state["failure_reason"], remedy)
    if warnings := state.get("warnings"):
        return warning(check, " ".join(warnings), "look at that node's machine")
    if not node["models"]:
        return warning(check, "serves no model: it earns weight, but no requests", "add it again with a model")
    return ok(check, f"{state['current_status']}, {', '.join(node['models'])}")


def callback_url_can_be_reached(url: str, hosts: Sequence[str], *, answers: bool, elsewhere: bool) -> Finding:
    """ML nodes send their proofs to the call-back URL; this machine can try it, and see that it is no loopback for others.

    hosts: of the ML nodes, as declared. elsewhere: the URL's host is no address of this machine.
    """
    remote = sorted({host for host in hosts if not is_loopback(host)})
    if is_loopback(url) and remote:
        remedy = "set DAPI_API__POC_CALLBACK_URL to an address of this machine in their network, http://<address>:9100"
        return wrong(
            "callback url", f"{url} leads ML nodes on other machines ({', '.join(remote)}) to themselves", remedy
        )
    if not answers and elsewhere:
        return skipped("callback url", f"{url} cannot be tried from here, as it is no address of this machine")
    if not answers:
        remedy = "check DAPI_API__POC_CALLBACK_URL, and CALLBACK_ADDRESS, on which the port is published"
        return wrong("callback url", f"nobody answers at {url}", remedy)
    return ok("callback url", f"{url} answers this machine")


def callback_url_answers_ml_node(node_id: str, url: str, tried: CallbackTried | str) -> Finding:
    """What an ML node has found at the call-back URL, or why it could not be asked."""
    if isinstance(tried, str):
        return skipped(
            f"callback url from {node_id}",
            f"{tried}; `pivot doctor --ml-node --callback-url {url}` on its server tells",
        )
    if fault := _fault(tried):
        return wrong(f"callback url from {node_id}", f"{url}: {fault}", OPEN_CALLBACK)
    return ok(f"callback url from {node_id}", f"{url} answers it")


def callback_url_answers_from_here(url: str, tried: CallbackTried | None) -> Finding:
    """On an ML node's server: what it finds at the network node's call-back URL. None: the URL is not known."""
    if tried is None:
        return skipped(
            "callback url", "give --callback-url, the network node's DAPI_API__POC_CALLBACK_URL, to try it from here"
        )
    if fault := _fault(tried):
        return wrong("callback url", f"{url} cannot be reached from this machine: {fault}", OPEN_CALLBACK)
    return ok("callback url", f"{url} answers this machine")


def _fault(tried: CallbackTried) -> str:
    """Why nobody has answered; empty when somebody has. A proxy's complaint that nobody stands behind it is no answer."""
    if not tried.status:
        return tried.error or "nobody answers"
    return f"a proxy answers {tried.status}" if tried.status in NOBODY_BEHIND else ""


def is_loopback(host_or_url: str) -> bool:
    """Whether a host, bare or in a URL, is the machine itself."""
    host = urlsplit(host_or_url if "://" in host_or_url else f"//{host_or_url}").hostname or host_or_url
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in LOCAL_NAMES
