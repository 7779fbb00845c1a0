"""A network node looked at from its own machine, or from inside the container of its API node."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from pivot.api.fleet.declaration import InvalidNode
from pivot.api.fleet.fleet import parse_node_config
from pivot.api.http.admin import OpenAdminPort, require_guarded
from pivot.api.identity import GATEWAY_KEY_NAME, DamagedKey, Identity
from pivot.api.ledger.chain import GrpcChain
from pivot.api.ledger.interface import LedgerError
from pivot.api.ledger.rpc import Rpc, Status
from pivot.api.registration import is_unreachable
from pivot.api.settings import ApiSettings
from pivot.doctor import chain, machine, ml_nodes, ports
from pivot.doctor.finding import Finding, ok, skipped, wrong
from pivot.doctor.ports import Port, connects
from pivot.mlnode import devices
from pivot.mlnode.model_cache import cache_folders
from pivot.mlnode.settings import REPOSITORY_MODELS
from pivot.node.disk import free_bytes
from pivot.node.engine import ENGINE_VERSION, installed_engine
from pivot.primitives.addresses import consensus_address
from pivot.protocol.mlnode_api import CallbackTried

ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=10)
LOOKED_AT_BLOCKS = 5
"""A signature under one of so many is enough: a single one may come too late."""
ABSENT = 1
"""How a commit marks that there is no signature."""


@dataclass(frozen=True)
class Facts:
    """Where to look."""

    settings: ApiSettings
    environment: Mapping[str, str]
    http: aiohttp.ClientSession

    @property
    def ports(self) -> list[Port]:
        """Public, call-backs, admin."""
        api = self.settings.api
        return [
            Port("the public API", api.public_server_host, api.public_server_port),
            Port("call-backs of ML nodes", api.ml_server_host, api.ml_server_port),
            Port("the Admin API", api.admin_server_host, api.admin_server_port),
        ]

    @property
    def store_ports(self) -> list[Port]:
        """Of the trainings' store, where the host trains."""
        training = self.settings.training
        return [Port("the trainings' store", training.server_host, training.server_port)] if training.enabled else []

    @property
    def rpc_port(self) -> Port:
        host, number = _address(self.settings.chain_node.url)
        return Port("the chain node's RPC", host, number)

    @property
    def admin_url(self) -> str:
        """The Admin API."""
        url = self.ports[2].url
        return url if self.settings.api.admin_client_ca is None else url.replace("http://", "https://", 1)

    @property
    def nodes_url(self) -> str:
        """The Admin API's list of ML nodes."""
        return f"{self.admin_url}/admin/v1/nodes"

    @property
    def api_keys_url(self) -> str:
        """The Admin API's list of API keys."""
        return f"{self.admin_url}/admin/v1/keys/api"

    @cached_property
    def admin_tls(self) -> ssl.SSLContext | bool:
        """What is shown to the Admin API, and trusted there; True where it wants no certificate, or there is none to show."""
        certificate, ca = self.environment.get("ADMIN_CERTIFICATE"), self.environment.get("ADMIN_CA")
        if self.settings.api.admin_client_ca is None or not certificate:
            return True
        try:
            context = ssl.create_default_context(cafile=ca or None)
            context.load_cert_chain(certificate, password="")
        except (OSError, ValueError):
            return True
        return context

    @property
    def admin_headers(self) -> dict[str, str]:
        token = self.settings.api.admin_token
        return {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def public_host(self) -> str:
        return urlsplit(self.settings.api.public_url).hostname or ""


async def examine(settings: ApiSettings, environment: Mapping[str, str], *, before_start: bool) -> list[Finding]:
    """All findings, in the order of a person's questions: the machine, its ports, the chain, the ML nodes."""
    async with aiohttp.ClientSession(timeout=ANSWER_TIMEOUT) as http:
        facts = Facts(settings, environment, http)
        findings = [_admin_port_is_guarded(settings), _public_url(settings), *await look_at_machine(facts)]
        if before_start:
            return [*findings, *await look_at_free_ports(facts), *await look_at_seed(facts), _configured_models(facts)]
        listed = await _listed_nodes(facts)
        own, own_finding = _own_identity(settings)
        address = own.address if own else await _told_address(facts, facts.ports[0].url)
        return [
            *findings,
            *([own_finding] if own_finding else []),
            *await look_at_ports(facts, address),
            *await look_at_chain(facts, address, own),
            *await look_at_ml_nodes(facts, listed),
        ]


async def look_at_machine(facts: Facts) -> list[Finding]:
    """Disk, memory, accelerators, engine."""
    home = facts.settings.home
    findings = [machine.disk_has_room(home, free_bytes(home))]
    try:
        gpus = await devices.query_devices()
    except devices.DriverBroken as error:
        gpus = None
        findings.append(machine.gpu_driver_fails(error))
    else:
        findings.append(machine.gpus_work(gpus, needed=False))
    findings.append(machine.memory_is_enough(machine.total_memory(), gpus or []))
    if ml_nodes.is_loopback(facts.rpc_port.host):
        findings.append(machine.engine_is_installed(installed_engine(), ENGINE_VERSION))
    return findings


async def look_at_free_ports(facts: Facts) -> list[Finding]:
    """Before the start."""
    own = [*facts.ports, *facts.store_ports, *([facts.rpc_port] if ml_nodes.is_loopback(facts.rpc_port.host) else [])]
    return [ports.port_is_free(port, taken=await connects(port.host, port.number)) for port in own if port.number]


async def look_at_seed(facts: Facts) -> list[Finding]:
    """Whom the host wants to join by: it answers, and its clock is this machine's."""
    url = facts.environment.get("SEED_NODE_RPC_URL", "")
    if not url:
        return [skipped("seed", "SEED_NODE_RPC_URL is not set")]
    try:
        status = await Rpc(facts.http, url).status()
    except LedgerError as error:
        return [wrong("seed", str(error), "check SEED_NODE_RPC_URL, and that this machine may reach it")]
    found = ok("seed", f"{url} follows {status.chain_id}, block {status.head.height}")
    return [found, *([machine.clock_agrees(time.time_ns(), status.head.time_ns, url)] if status.synced else [])]


async def look_at_ports(facts: Facts, address: str | None) -> list[Finding]:
    """After the start: answering inside, closed outside, and the public URL is this host's."""
    findings = [
        ports.port_answers(port, listens=await connects(port.host, port.number), remedy=chain.START)
        for port in facts.ports
    ]
    host = facts.public_host
    public = await ports.is_public(host)
    for port in facts.ports[1:]:
        open_outside = public and await connects(host, port.number)
        findings.append(ports.port_is_closed_to_the_public(port, host, public=public, connects=open_outside))
    open_outside = public and await connects(host, facts.rpc_port.number)
    findings.append(ports.rpc_is_closed_to_the_public(facts.rpc_port, host, public=public, connects=open_outside))
    url = facts.settings.api.public_url
    told, elsewhere = await _told_address(facts, url), await ports.is_elsewhere(host)
    findings.append(ports.public_url_leads_here(url, told, address, elsewhere=elsewhere))
    peers = facts.environment.get("P2P_EXTERNAL_ADDRESS", "")
    answers = bool(peers) and await connects(*_address(peers))
    elsewhere = await ports.is_elsewhere(_address(peers)[0])
    findings.append(ports.peers_can_dial(peers, connects=answers, elsewhere=elsewhere))
    return findings


async def look_at_chain(facts: Facts, address: str | None, own: Identity | None) -> list[Finding]:
    """Sync, clock, versions, registration, signature, gateway account."""
    rpc = Rpc(facts.http, facts.settings.chain_node.url)
    try:
        raw, status = await rpc.call("status"), await rpc.status()
        findings = [
            chain.chain_node_is_synced(status),
            chain.engine_version_fits(str(raw["node_info"]["version"]), ENGINE_VERSION),
        ]
        if status.synced:
            findings.append(machine.clock_agrees(time.time_ns(), status.head.time_ns, "its chain node"))
        findings.append(await _signature(rpc, status))
    except LedgerError as error:
        return [chain.chain_node_does_not_answer(str(error))]
    if address is None:
        return [*findings, chain.nothing_is_known_of_the_host("registration")]
    return [*findings, *await _accounts(facts, status, address, own)]


async def look_at_ml_nodes(facts: Facts, listed: list[dict[str, Any]] | str) -> list[Finding]:
    """Each ML node's state, and the URL at which they call back, tried from each. listed: as of `_listed_nodes`."""
    if isinstance(listed, str):
        return [wrong("ml nodes", listed, chain.START)]
    url = facts.settings.api.poc_callback_url
    hosts = [item["node"]["host"] for item in listed]
    here = [model for item in listed if ml_nodes.is_loopback(item["node"]["host"]) for model in item["node"]["models"]]
    answers, elsewhere = await connects(*_address(url)), await ports.is_elsewhere(_address(url)[0])
    ids = [str(item["node"]["id"]) for item in listed]
    tried = await asyncio.gather(*(_tried_callback(facts, node_id) for node_id in ids))
    return [
        ml_nodes.ml_nodes_are_registered(listed),
        *(ml_nodes.ml_node_works(item) for item in listed),
        ml_nodes.callback_url_can_be_reached(url, hosts, answers=answers, elsewhere=elsewhere),
        *(ml_nodes.callback_url_answers_ml_node(each, url, told) for each, told in zip(ids, tried, strict=True)),
        _models_here(facts, here),
    ]


async def _accounts(facts: Facts, status: Status, address: str, own: Identity | None) -> list[Finding]:
    gateway = GrpcChain(facts.settings.chain_node.grpc_url, status.chain_id)
    api = facts.settings.api
    try:
        known = await gateway.participant(address)
        findings = [chain.host_is_registered(address, known, api.public_url, status.consensus_key)]
        payer = own.gateway.address if own else known.gateway_address if known else ""
        if not payer:
            return [*findings, skipped("gateway account", "it is told to the chain with the registration")]
        balance = await gateway.balance(payer)
        return [*findings, chain.gateway_can_pay(payer, balance, has_api_keys=await _has_api_keys(facts))]
    except LedgerError as error:
        remedy = "check that the chain node's gateway runs, and DAPI_CHAIN_NODE__GRPC_URL"
        return [wrong("registration", f"the chain cannot be asked: {error}", remedy)]
    finally:
        await gateway.close()


async def _signature(rpc: Rpc, status: Status) -> Finding:
    """Whether the node's key is under one of the last blocks, if it has been a validator's for so long.

    A vote for no block is a signature, too: beside a validator that alone decides, others often come too late for the block.
    """
    height = status.head.height
    key = consensus_address(base64.b64decode(status.consensus_key)).hex().upper()
    if height == 0 or key not in {each["address"] for each in await rpc.validators(height)}:
        return chain.host_signs_blocks(height, validator=False, signed=False)
    for each in range(height, max(0, height - LOOKED_AT_BLOCKS), -1):
        commit = (await rpc.commit(each))["signed_header"]["commit"]
        if any(part["validator_address"] == key and part["block_id_flag"] != ABSENT for part in commit["signatures"]):
            return chain.host_signs_blocks(each, validator=True, signed=True)
    earlier = {each["address"] for each in await rpc.validators(max(1, height - LOOKED_AT_BLOCKS))}
    return chain.host_signs_blocks(height, validator=key in earlier, signed=False)


async def _listed_nodes(facts: Facts) -> list[dict[str, Any]] | str:
    """The Admin API's list, or a sentence that says why there is none."""
    url = facts.nodes_url
    try:
        async with facts.http.get(url, headers=facts.admin_headers, ssl=facts.admin_tls) as answer:
            if answer.status == HTTPStatus.OK:
                listed: list[dict[str, Any]] = await answer.json()
                return listed
            return f"the Admin API answered {answer.status}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        wanted = facts.settings.api.admin_client_ca is not None
        hint = " (ADMIN_CERTIFICATE and ADMIN_CA say what to show it, and whom to trust)" if wanted else ""
        return f"the Admin API at {url} does not answer: {error or type(error).__name__}{hint}"


async def _has_api_keys(facts: Facts) -> bool:
    """Whether the host has issued keys that are still good; no when the Admin API cannot be asked."""
    try:
        async with facts.http.get(facts.api_keys_url, headers=facts.admin_headers, ssl=facts.admin_tls) as answer:
            return answer.status == HTTPStatus.OK and any(key["revoked_at"] is None for key in await answer.json())
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False


async def _tried_callback(facts: Facts, node_id: str) -> CallbackTried | str:
    """What an ML node has found at the call-back URL, or a sentence that says why it cannot be asked."""
    url = f"{facts.nodes_url}/{quote(node_id, safe='')}/callback/try"
    try:
        async with facts.http.post(url, headers=facts.admin_headers, ssl=facts.admin_tls) as answer:
            document = await answer.json()
            if answer.status == HTTPStatus.OK:
                return CallbackTried.model_validate(document)
            return f"the ML node cannot be asked: {document['error']}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
        return f"the Admin API cannot be asked: {error or type(error).__name__}"


async def _told_address(facts: Facts, url: str) -> str | None:
    """The address of the host whose API node answers at a URL."""
    try:
        async with facts.http.get(f"{url}/v1/identity") as answer:
            document = await answer.json(content_type=None)
            return str(document["data"]["address"])
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
        return None


def _own_identity(settings: ApiSettings) -> tuple[Identity | None, Finding | None]:
    """The host's keys, where they are on this machine; never made here."""
    home = settings.home
    if not all((home / f"{name}.key").exists() for name in (settings.key_name, GATEWAY_KEY_NAME)):
        return None, None
    try:
        return Identity.load(home, settings.key_name), None
    except (DamagedKey, OSError) as error:
        return None, wrong("keys", str(error), f"restore {home} from your backup; without its key a host is lost")


def _admin_port_is_guarded(settings: ApiSettings) -> Finding:
    try:
        require_guarded(settings)
    except OpenAdminPort as error:
        return wrong("admin port", "it would be open to everybody", str(error))
    guards = (
        "a token" if settings.api.admin_token else "",
        "certificates" if settings.api.admin_client_ca is not None else "",
    )
    guarded = " and ".join(guard for guard in guards if guard)
    return ok("admin port", f"guarded by {guarded}" if guarded else "open to this machine alone")


def _public_url(settings: ApiSettings) -> Finding:
    url = settings.api.public_url
    return ports.public_url_is_no_loopback(
        url, loopback=is_unreachable(url), on_purpose=settings.api.allow_private_urls
    )


def _configured_models(facts: Facts) -> Finding:
    """Models of the ML nodes with which the host begins."""
    path = facts.settings.node_config_path
    if path is None:
        return _models_here(facts, [])
    try:
        nodes = parse_node_config(path.read_bytes())
    except (OSError, InvalidNode, json.JSONDecodeError) as error:
        return wrong("node config", f"{path}: {error}", "mend it, or set NODE_CONFIG (NODE_CONFIG_PATH) to another")
    return _models_here(facts, [model for node in nodes if ml_nodes.is_loopback(node.host) for model in node.models])


def _models_here(facts: Facts, models: list[str]) -> Finding:
    own = Path(facts.environment.get("MLNODE_MODELS_DIR") or REPOSITORY_MODELS)
    return machine.models_are_cached(dict.fromkeys(models), own, cache_folders(facts.environment))


def _address(url: str) -> tuple[str, int]:
    """Host and port of a URL; port 0, to which nothing can connect, for one that is malformed."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme, 0)
    try:
        port = parts.port
    except ValueError:
        port = 0
    return parts.hostname or "", default if port is None else port
