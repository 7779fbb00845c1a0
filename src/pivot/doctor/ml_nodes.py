"""The ML nodes as the network node sees them, and how they see the network node."""

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pivot.doctor.finding import Finding, ok, skipped, warning, wrong

LOCAL_NAMES = ("localhost", "ip6-localhost")
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
    if not node["models"]:
        return warning(check, "serves no model: it earns weight, but no requests", "add it again with a model")
    return ok(check, f"{state['current_status']}, {', '.join(node['models'])}")


def callback_url_can_be_reached(url: str, hosts: Sequence[str], *, answers: bool) -> Finding:
    """ML nodes send their proofs to the call-back URL; this machine can try it, and see that it is no loopback for others.

    hosts: of the ML nodes, as declared. Whether each ML node reaches it is told by `pivot doctor --ml-node` on its server.
    """
    remote = sorted({host for host in hosts if not is_loopback(host)})
    if is_loopback(url) and remote:
        remedy = "set DAPI_API__POC_CALLBACK_URL to an address of this machine in their network, http://<address>:9100"
        return wrong(
            "callback url", f"{url} leads ML nodes on other machines ({', '.join(remote)}) to themselves", remedy
        )
    if not answers:
        remedy = "check DAPI_API__POC_CALLBACK_URL, and CALLBACK_ADDRESS, on which the port is published"
        return wrong("callback url", f"nobody answers at {url}", remedy)
    if remote:
        return ok(
            "callback url", f"{url} answers here; `pivot doctor --ml-node` on the other servers tries it from there"
        )
    return ok("callback url", f"{url} answers")


def callback_url_answers_from_here(url: str, status: int | None) -> Finding:
    """On an ML node's server: the network node's call-back port can be reached. status: of the answer, None for none."""
    if not url:
        return skipped(
            "callback url", "give --callback-url, the network node's DAPI_API__POC_CALLBACK_URL, to try it from here"
        )
    if status is None:
        remedy = "open the network node's port 9100 to this machine; no proof of compute reaches it until then"
        return wrong("callback url", f"{url} cannot be reached from this machine", remedy)
    return ok("callback url", f"{url} answers this machine")


def is_loopback(host_or_url: str) -> bool:
    """Whether a host, bare or in a URL, is the machine itself."""
    host = urlsplit(host_or_url if "://" in host_or_url else f"//{host_or_url}").hostname or host_or_url
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in LOCAL_NAMES
