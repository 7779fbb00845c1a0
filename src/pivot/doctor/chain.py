"""The host on the chain: its node, its registration, its signature under blocks, the gateway account's coins."""

from pivot.api.ledger.rpc import Status
from pivot.api.registration import in_step
from pivot.doctor.finding import Finding, ok, skipped, warning, wrong
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.inference.types_pb2 import Participant

START = "start the network node: docker compose up -d tmkms node api"


def chain_node_does_not_answer(why: str) -> Finding:
    """Nothing can be said of the chain."""
    remedy = f"{START}; look at its log; it answers only once its signer (tmkms) has connected"
    return wrong("chain node", why, remedy)


def chain_node_is_synced(status: Status) -> Finding:
    """The node follows the head of the chain."""
    found = f"{status.chain_id}, block {status.head.height}"
    if not status.synced:
        return warning(
            "chain node", f"catching up: {found}", "wait; `pivot doctor` again shows whether the height grows"
        )
    return ok("chain node", f"synced: {found}")


def engine_version_fits(running: str, pinned: str) -> Finding:
    """The engine that runs is the one that Pivot was tested with."""
    if running.partition("+")[0].removeprefix("v") != pinned:
        return wrong("engine version", f"CometBFT {running} runs, not {pinned}", "take it off PATH, or update Pivot")
    return ok("engine version", f"CometBFT {running}")


def host_is_registered(address: str, known: Participant | None, public_url: str, consensus_key: str) -> Finding:
    """The chain has the host with this URL and this consensus key."""
    remedy = "the API node does it by itself: its log says what it waits for"
    if known is None:
        return wrong("registration", f"{address} is not registered", remedy)
    if known.inference_url.rstrip("/") != public_url:
        found = f"the chain has {known.inference_url or 'no URL'} for {address}, not {public_url}"
        return wrong("registration", found, remedy)
    if not in_step(known, public_url, consensus_key):
        return wrong("registration", f"the chain has another consensus key for {address} than its node", remedy)
    return ok("registration", f"{address} at {public_url}")


def host_signs_blocks(height: int, *, validator: bool, signed: bool) -> Finding:
    """The signer holds the key that the chain expects, and is connected."""
    if not validator:
        return ok("signer", "this host signs no blocks yet: it will with its first weight")
    if not signed:
        remedy = "check that tmkms runs and is connected to the chain node, with the key that it had before"
        return wrong("signer", f"this host's signature is missing under block {height}", remedy)
    return ok("signer", f"block {height} carries this host's signature")


def gateway_can_pay(address: str, balance: int, *, has_api_keys: bool) -> Finding:
    """Requests that come with an API key are paid by the gateway account."""
    found = f"{address} holds {balance} {BASE_DENOM}"
    if balance == 0 and has_api_keys:
        return wrong(
            "gateway account", found, "send it coins: requests with an API key are answered with 402 until then"
        )
    if balance == 0:
        return ok("gateway account", f"{found}; no API keys are issued, so it has nothing to pay")
    return ok("gateway account", found)


def nothing_is_known_of_the_host(check: str) -> Finding:
    """The host's keys are not on this machine, and its API node does not answer."""
    return skipped(check, "the address of this host is not known: its API node has never run here and does not answer")
