"""A devnet under way: made, started, watched, stopped."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from pivot.chain.exits import EXIT_UPGRADE
from pivot.devnet.genesis import build_genesis
from pivot.devnet.plan import CONTRACT_FILE, MODEL, DevnetError, HostPlan, Plan, contract, host_home, write_private
from pivot.devnet.processes import engine_home, process_groups, signer_home, write_settings
from pivot.node.engine import find_engine
from pivot.node.errors import UpgradeDue
from pivot.node.network_node import halt_sentence
from pivot.node.signer import find_signer
from pivot.node.supervisor import Supervisor

STATUS_FILE = "processes.json"
READY_TIMEOUT_SECONDS = 180.0
POLL_SECONDS = 0.25
HTTP_TIMEOUT = aiohttp.ClientTimeout(total=60)
STATUS_TIMEOUT = aiohttp.ClientTimeout(total=2)
STOP_TIMEOUT_SECONDS = 60.0


def prepare(plan: Plan, home: Path, tmkms: Path | None = None) -> None:
    """Everything on disk that the network starts from. What exists already is kept. `tmkms`: for a plan with signers.

    Raises SignerRefused.
    """
    plan.save(home)
    engines = [engine_home(home, index) for index in range(len(plan.hosts))]
    signers = [signer_home(home, index) for index in range(len(plan.hosts))]
    for engine, signer in zip(engines, signers, strict=True):
        engine.make_keys(with_consensus_key=not signer.has_key())
    if not engines[0].genesis_file.exists():
        text = json.dumps(build_genesis(plan, [engine.consensus_key() for engine in engines]), indent=2)
        for engine in reversed(engines):
            engine.genesis_file.write_text(text)
    if tmkms is not None:
        for engine, signer in zip(engines, signers, strict=True):
            signer.take_key(tmkms, engine)
    write_settings(plan, home)


class Network:
    """The running processes of a devnet, and `processes.json`, which says what became of them."""

    def __init__(self, plan: Plan, home: Path, say: Callable[[str], None] = lambda _: None) -> None:
        """Find the binaries and prepare the folders. Raises NodeError."""
        self.plan = plan
        self.home = home
        engine = find_engine(say)
        tmkms = find_signer(say) if plan.has_signers else None
        prepare(plan, home, tmkms)
        self.halted = asyncio.Event()
        """Set when no host can go on: the chain has come to an upgrade."""
        groups = process_groups(plan, home, engine, tmkms)
        self.supervisor = Supervisor(groups, on_change=self._look, final_exit=EXIT_UPGRADE)

    def start(self) -> None:
        """Start all processes; returns at once."""
        self.supervisor.start()

    async def stop(self) -> None:
        """Stop all processes. Raises UpgradeDue if the network has halted."""
        await self.supervisor.stop()
        (self.home / STATUS_FILE).unlink(missing_ok=True)
        if self.halted.is_set():
            raise UpgradeDue(halt_sentence(host_home(self.home, 0)))

    async def wait_ready(self, timeout_s: float = READY_TIMEOUT_SECONDS) -> None:
        """Return when the first host has earned weight and answers a request; then `devnet.json` is there.

        A network without ML nodes is ready when it makes blocks. Raises DevnetError with what is missing when the time is over.
        """
        host = self.plan.hosts[0]
        missing = "the first block"
        try:
            async with asyncio.timeout(timeout_s), aiohttp.ClientSession(timeout=HTTP_TIMEOUT) as session:
                while not await _makes_blocks(session, host):
                    await asyncio.sleep(POLL_SECONDS)
                missing = "an API node that issues keys"
                for each in self.plan.hosts:
                    while not await _knows_key(session, each, self.plan.api_key):
                        await asyncio.sleep(POLL_SECONDS)
                if host.ml_nodes:
                    missing = "weight from proof of compute"
                    while not await earned_weight(session, host, host.address):
                        await asyncio.sleep(POLL_SECONDS)
                    missing = "an answer to a request"
                    while not await _answers(session, host, self.plan.api_key):
                        await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            logs = self.home / "logs"
            raise DevnetError(
                f"after {timeout_s:.0f} s the network still lacks {missing}; its logs are in {logs}"
            ) from None
        write_private(self.home / CONTRACT_FILE, json.dumps(contract(self.plan, self.home), indent=2))

    def _look(self) -> None:
        self._write_status()
        applications = [state for state in self.supervisor.processes if state.spec.name == "application"]
        if all(state.last_exit == EXIT_UPGRADE for state in applications):
            self.halted.set()

    def _write_status(self) -> None:
        document = {
            "supervisor": os.getpid(),
            "processes": [
                {"name": state.spec.name, "host": state.spec.host, "pid": state.pid, "state": state.state}
                for state in self.supervisor.processes
            ],
        }
        write_private(self.home / STATUS_FILE, json.dumps(document))


async def _makes_blocks(session: aiohttp.ClientSession, host: HostPlan) -> bool:
    document = await get_json(session, f"{host.rpc_url}/status")
    return document is not None and int(document["result"]["sync_info"]["latest_block_height"]) > 0


async def earned_weight(session: aiohttp.ClientSession, host: HostPlan, address: str) -> int:
    """The weight of `address` in the current epoch as `host` tells it; 0 if it is no member."""
    document = await get_json(session, f"{host.public_url}/v1/epochs/current/participants")
    if document is None:
        return 0
    members = document["active_participants"]["participants"]
    return sum(int(member["weight"]) for member in members if member["index"] == address)


async def _knows_key(session: aiohttp.ClientSession, host: HostPlan, api_key: str) -> bool:
    """Issue the developer's key at a host; one that has done so before says that it is known."""
    try:
        url = f"{host.admin_url}/admin/v1/keys/api"
        async with session.post(url, json={"name": "devnet", "key": api_key}) as answer:
            return answer.status in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _answers(session: aiohttp.ClientSession, host: HostPlan, api_key: str) -> bool:
    request = {"model": MODEL, "messages": [{"role": "user", "content": "What is Pivot?"}], "max_tokens": 16}
    headers = {"Authorization": f"Bearer {api_key}"}
    try:
        url = f"{host.public_url}/v1/chat/completions"
        async with session.post(url, json=request, headers=headers) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def get_json(session: aiohttp.ClientSession, url: str) -> dict[str, Any] | None:
    """The JSON object at `url`; None when nobody answers, or not with 200."""
    try:
        async with session.get(url, timeout=STATUS_TIMEOUT) as answer:
            if answer.status != 200:
                return None
            document: dict[str, Any] = await answer.json()
            return document
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


@dataclass(frozen=True)
class Running:
    """What `processes.json` says of a network that is up."""

    supervisor: int
    processes: list[dict[str, Any]]


def running(home: Path) -> Running | None:
    """The network that is up in `home`, if one is."""
    try:
        document = json.loads((home / STATUS_FILE).read_text())
        os.kill(document["supervisor"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return Running(document["supervisor"], document["processes"])


def end_orphans(home: Path) -> None:
    """End processes that outlived their supervisor, so that a new one finds its ports free."""
    if running(home) is not None:
        raise DevnetError(f"the network in {home} is up already; `pivot devnet down --home {home}` stops it")
    try:
        processes = json.loads((home / STATUS_FILE).read_text())["processes"]
    except (OSError, ValueError, KeyError):
        return
    for process in processes:
        if process["pid"] is not None and _is_ours(process["pid"], home):
            with contextlib.suppress(OSError):
                os.killpg(process["pid"], signal.SIGKILL)


def _is_ours(pid: int, home: Path) -> bool:
    """Whether the process with this number belongs to the network in `home` (numbers are given out again)."""
    try:
        told = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return str(home).encode() in told


async def stop_running(home: Path) -> None:
    """Stop the network that is up in `home`. Raises DevnetError when none is, or it does not end."""
    found = running(home)
    if found is None:
        raise DevnetError(f"no network is up in {home}")
    os.kill(found.supervisor, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            while running(home) is not None:
                await asyncio.sleep(POLL_SECONDS)
            return
    raise DevnetError(f"the network in {home} did not stop within {STOP_TIMEOUT_SECONDS:.0f} s")
