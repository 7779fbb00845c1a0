"""`pivot node …`: the chain side of a network node."""

import asyncio
import base64
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from pivot.chain.exits import EXIT_UPGRADE
from pivot.cli.output import EXIT_USAGE, CommandFailed, Json, print_json, say
from pivot.node.addresses import LARGEST_PORT, HostPort, parse_address
from pivot.node.chain_node import ChainNode
from pivot.node.clock import watch_clock
from pivot.node.disk import require_room, watch_room
from pivot.node.engine import find_engine
from pivot.node.errors import HomeUnusable, NodeError, UpgradeDue
from pivot.node.exclusive import holding
from pivot.node.join import join
from pivot.node.join_settings import (
    DEFAULT_SNAPSHOT_INTERVAL,
    DEFAULT_SNAPSHOTS_KEPT,
    DEFAULT_TRUSTED_BLOCKS,
    InvalidJoinSettings,
    JoinSettings,
    default_home,
)
from pivot.node.key_move import move_key
from pivot.node.network_node import NodeSettings, halt_sentence, lock_file, node_groups, require_free_ports
from pivot.node.signer import find_signer
from pivot.node.signer_home import SignerHome
from pivot.node.signer_start import DEFAULT_NODE, prepare_signer
from pivot.node.status import ask_status, engine_rpc
from pivot.node.supervisor import ProcessSpec, Supervisor

app = typer.Typer(help="Consensus engine, application and query gateway of a network node.", no_args_is_help=True)

Home = Annotated[
    Path | None, typer.Option("--home", help="Folder of the network node.  [PIVOT_HOME; default: ~/.pivot]")
]


@app.command("join")
def join_network(
    home: Home = None,
    seed_rpc: Annotated[
        str | None, typer.Option(help="URL of the RPC of a chain node in the network.  [SEED_NODE_RPC_URL]")
    ] = None,
    seed_p2p: Annotated[
        str | None, typer.Option(help="tcp://host:port at which peers reach the same node.  [SEED_NODE_P2P_URL]")
    ] = None,
    genesis_sha256: Annotated[
        str | None, typer.Option(help="SHA-256 of the genesis document; another is refused.  [GENESIS_SHA256]")
    ] = None,
    moniker: Annotated[
        str | None, typer.Option(help="Name of this node among its peers.  [KEY_NAME; default: this machine's]")
    ] = None,
    external_address: Annotated[
        str | None, typer.Option(help="tcp://host:port at which peers reach this node.  [P2P_EXTERNAL_ADDRESS]")
    ] = None,
    p2p: Annotated[
        str | None, typer.Option(help="host:port to listen on for peers.  [CONFIG_p2p__laddr; default: 0.0.0.0:26656]")
    ] = None,
    rpc: Annotated[
        str | None, typer.Option(help="host:port of the RPC.  [CONFIG_rpc__laddr; default: 127.0.0.1:26657]")
    ] = None,
    signer_port: Annotated[
        int | None,
        typer.Option(help="Port at which to wait for tmkms, which holds the consensus key.  [TMKMS_PORT]"),
    ] = None,
    signer_host: Annotated[
        str | None, typer.Option(help="Address to wait for tmkms on.  [TMKMS_LISTEN_HOST; default: 127.0.0.1]")
    ] = None,
    state_sync: Annotated[
        bool | None,
        typer.Option("--state-sync/--all-blocks", help="Begin with a snapshot of the state.  [SYNC_WITH_SNAPSHOTS]"),
    ] = None,
    rpc_server_1: Annotated[
        str | None, typer.Option("--rpc-server-1", help="URL of an RPC to trust headers of.  [RPC_SERVER_URL_1]")
    ] = None,
    rpc_server_2: Annotated[
        str | None, typer.Option("--rpc-server-2", help="URL of a second one, to compare.  [RPC_SERVER_URL_2]")
    ] = None,
    trusted_block_period: Annotated[
        int | None,
        typer.Option(
            help="How many blocks behind the head the trusted header lies.  "
            f"[TRUSTED_BLOCK_PERIOD; default: {DEFAULT_TRUSTED_BLOCKS}]"
        ),
    ] = None,
    snapshot_interval: Annotated[
        int | None,
        typer.Option(
            help="A snapshot of the state every so many blocks; 0: none.  "
            f"[SNAPSHOT_INTERVAL; default: {DEFAULT_SNAPSHOT_INTERVAL}]"
        ),
    ] = None,
    snapshot_keep_recent: Annotated[
        int | None,
        typer.Option(help=f"How many snapshots to keep.  [SNAPSHOT_KEEP_RECENT; default: {DEFAULT_SNAPSHOTS_KEPT}]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make this machine a node of a network: genesis, keys, settings. Again: bring the settings in step.

    The variable in brackets stands in for an option that is not given; CONFIG_section__key=value changes any setting of the
    engine.
    """
    try:
        settings = JoinSettings.load(
            home=home,
            seed_rpc=seed_rpc,
            seed_p2p=seed_p2p,
            genesis_sha256=genesis_sha256,
            moniker=moniker,
            external_address=external_address,
            p2p=p2p,
            rpc=rpc,
            signer_port=signer_port,
            signer_host=signer_host,
            state_sync=state_sync,
            rpc_server_1=rpc_server_1,
            rpc_server_2=rpc_server_2,
            trusted_block_period=trusted_block_period,
            snapshot_interval=snapshot_interval,
            snapshot_keep_recent=snapshot_keep_recent,
        )
    except InvalidJoinSettings as error:
        say(str(error))
        raise typer.Exit(EXIT_USAGE) from error
    try:
        joined = asyncio.run(join(settings, find_engine(say), say=say))
    except (NodeError, OSError) as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(asdict(joined))
        return
    say(f"{joined.home} is a node of {joined.chain_id}; the genesis document has SHA-256 {joined.genesis_sha256}")
    say(f"`pivot node run --home {joined.home}` runs it")


@app.command("run")
def run_node(
    home: Home = None,
    rpc: Annotated[
        str | None, typer.Option(help="URL of the engine's RPC, as the gateway reaches it (default: where it listens).")
    ] = None,
    grpc: Annotated[str, typer.Option(help="host:port of the gRPC queries.")] = "127.0.0.1:9090",
    rest: Annotated[str, typer.Option(help="host:port of the REST queries.")] = "127.0.0.1:1317",
) -> None:
    """Run the three processes and keep them running until SIGINT or SIGTERM, or until the disk is full.

    Ends with exit code 3 before the block in which a software upgrade is due that this version does not know.
    """
    home = (home or default_home()).absolute()
    try:
        if not (home / "engine/config/genesis.json").exists():
            raise HomeUnusable(
                f"{home}/engine/config/genesis.json is missing: the node does not know its network; "
                "`pivot node join` makes it a node of one"
            )
        settings = NodeSettings(
            home=home, engine=find_engine(say), rpc_url=rpc or engine_rpc(home), grpc=grpc, rest=rest
        )
        groups = node_groups(settings)
        with holding(lock_file(home)):
            require_free_ports(settings)
            require_room(home)
            asyncio.run(_run(groups, home, settings.rpc_url))
    except UpgradeDue as due:
        say(str(due))
        raise typer.Exit(EXIT_UPGRADE) from due
    except NodeError as error:
        raise CommandFailed(str(error)) from error


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """Say what the node is doing."""
    try:
        found = asyncio.run(ask_status((home or default_home()).absolute()))
    except NodeError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(asdict(found))
        return
    for name, value in asdict(found).items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")


@app.command("signer")
def run_signer(
    node: Annotated[str, typer.Option(help="host:port at which the chain node waits for its signer.")] = DEFAULT_NODE,
    home: Annotated[
        Path | None, typer.Option("--home", help="Folder of the signer.  [default: `signer` in PIVOT_HOME or ~/.pivot]")
    ] = None,
    seed_rpc: Annotated[
        str,
        typer.Option(
            envvar="SEED_NODE_RPC_URL", help="URL of the RPC of a chain node; tells the chain on the first start."
        ),
    ] = "",
) -> None:
    """Make the consensus key on the first start, and run tmkms, which signs with it. A second one is refused."""
    signer = SignerHome((home or default_home() / "signer").absolute())
    try:
        tmkms = find_signer(say)
        asyncio.run(prepare_signer(signer, tmkms, node, seed_rpc))
    except NodeError as error:
        raise CommandFailed(str(error)) from error
    command = signer.command(tmkms)
    os.execv(command[0], command)  # noqa: S606  this process becomes the signer


@app.command("import-key")
def import_key(
    home: Home = None,
    signer_home: Annotated[
        Path | None, typer.Option(help="Folder of the signer.  [default: `signer` in the node's folder]")
    ] = None,
    signer_port: Annotated[
        int,
        typer.Option(envvar="TMKMS_PORT", min=1, max=LARGEST_PORT, help="Port at which the node then waits for tmkms."),
    ] = parse_address(DEFAULT_NODE).port,
    signer_host: Annotated[
        str, typer.Option(envvar="TMKMS_LISTEN_HOST", help="Address to wait for tmkms on.")
    ] = parse_address(DEFAULT_NODE).host,
    as_json: Json = False,
) -> None:
    """Move the consensus key of a node that signs by itself to tmkms, with the memory of what it signed last.

    Refused while the node runs, and where the signer has another key.
    """
    home = (home or default_home()).absolute()
    signer = SignerHome((signer_home or home / "signer").absolute())
    try:
        key = move_key(home, signer, find_signer(say), HostPort(signer_host, signer_port))
    except NodeError as error:
        raise CommandFailed(str(error)) from error
    told = {
        "consensus_key": base64.b64encode(key).decode(),
        "signer": str(signer.path),
        "engine_key_file": str(signer.retired_key_file),
    }
    if as_json:
        print_json(told)
        return
    say(f"the signer in {signer.path} has the consensus key {told['consensus_key']}")
    say(f"the engine's own key file lies in {signer.retired_key_file}: keep it where no server is, or delete it")
    say(f"`pivot node signer --home {signer.path} --node {signer_host}:{signer_port}` runs the signer")


async def _run(groups: list[list[ProcessSpec]], home: Path, rpc_url: str) -> None:
    """Raises DiskNearlyFull and UpgradeDue, after everything has ended."""
    stop = asyncio.Event()

    def look() -> None:
        if _waits_for_upgrade(supervisor):
            stop.set()

    supervisor = Supervisor(groups, on_change=look, final_exit=EXIT_UPGRADE)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    supervisor.start()
    say("engine, application and gateway run")
    async with aiohttp.ClientSession() as http:
        clock = asyncio.create_task(watch_clock(ChainNode(http, rpc_url, "clock"), say))
        stopped, full = asyncio.create_task(stop.wait()), asyncio.create_task(watch_room(home))
        await asyncio.wait((stopped, full), return_when=asyncio.FIRST_COMPLETED)
        clock.cancel()
        await asyncio.wait((clock,))
    await supervisor.stop()
    if full.done():
        full.result()
    if _waits_for_upgrade(supervisor):
        raise UpgradeDue(halt_sentence(home))


def _waits_for_upgrade(supervisor: Supervisor) -> bool:
    return any(process.last_exit == EXIT_UPGRADE for process in supervisor.processes)
