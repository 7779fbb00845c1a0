"""`pivot node …`: the chain side of a network node."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from pivot.cli.output import CommandFailed, say
from pivot.node.engine import find_engine
from pivot.node.errors import NodeError
from pivot.node.network_node import NodeSettings, node_groups
from pivot.node.supervisor import Supervisor

app = typer.Typer(help="Consensus engine, application and query gateway of a network node.", no_args_is_help=True)


@app.command("run")
def run_node(
    home: Annotated[Path, typer.Option(help="Folder with `engine/` (configuration, genesis, keys) and `chain/`.")],
    rpc: Annotated[
        str, typer.Option(help="URL of the engine's RPC, as the gateway reaches it.")
    ] = "http://127.0.0.1:26657",
    grpc: Annotated[str, typer.Option(help="host:port of the gRPC queries.")] = "127.0.0.1:9090",
    rest: Annotated[str, typer.Option(help="host:port of the REST queries.")] = "127.0.0.1:1317",
) -> None:
    """Run the three processes and keep them running until SIGINT or SIGTERM."""
    home = home.resolve()
    if not (home / "engine/config/genesis.json").exists():
        raise CommandFailed(f"{home}/engine/config/genesis.json is missing: the node does not know its network")
    try:
        settings = NodeSettings(home=home, engine=find_engine(say), rpc_url=rpc, grpc=grpc, rest=rest)
        asyncio.run(_run(settings))
    except NodeError as error:
        raise CommandFailed(str(error)) from error


async def _run(settings: NodeSettings) -> None:
    supervisor = Supervisor(node_groups(settings))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    supervisor.start()
    sys.stderr.write(f"engine, application and gateway run; their logs are in {settings.home / 'logs'}\n")
    await stop.wait()
    await supervisor.stop()
