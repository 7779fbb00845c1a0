"""`pivot devnet …`: a whole network on one machine."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pivot.chain.exits import EXIT_UPGRADE
from pivot.cli.output import CommandFailed, Json, print_json, say
from pivot.devnet.network import READY_TIMEOUT_SECONDS, end_orphans, stop_running
from pivot.devnet.plan import CONTRACT_FILE, SIGNERS, DevnetError, Plan, load_plan, new_plan, read_contract
from pivot.devnet.run import run
from pivot.devnet.screen import first_requests
from pivot.devnet.status import ask
from pivot.node.errors import NodeError, UpgradeDue
from pivot.protocol.parameters import PRESETS

app = typer.Typer(help="A whole network on one machine.", no_args_is_help=True)

Home = Annotated[Path, typer.Option("--home", help="Folder of the network: its plan, state and logs.")]
DEFAULT_HOME = Path(".devnet")
SHOWN_LOG_LINES = 20
DETACH_GRACE_SECONDS = 60.0


@app.command()
def up(
    home: Home = DEFAULT_HOME,
    hosts: Annotated[int, typer.Option(help="Hosts of a new network.")] = 1,
    ml_nodes: Annotated[int, typer.Option("--ml-nodes", help="ML nodes per host of a new network.")] = 1,
    preset: Annotated[str, typer.Option(help=f"Parameters of a new network: {', '.join(PRESETS)}.")] = "devnet",
    signer: Annotated[
        str, typer.Option(help=f"Who holds the consensus keys of a new network: {', '.join(SIGNERS)}.")
    ] = "local",
    public_port: Annotated[
        int | None, typer.Option(help="Public port of the first host (default: a free one).")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the network answers; it goes on behind.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start a network, or continue the one in HOME from the state on disk.

    Ends with exit code 3 before the block in which a software upgrade is due that this version does not know.
    """
    home = home.resolve()
    if preset not in PRESETS:
        raise typer.BadParameter(f"{preset!r} is no preset; known are {', '.join(PRESETS)}", param_hint="--preset")
    if signer not in SIGNERS:
        raise typer.BadParameter(f"{signer!r} is no signer; known are {', '.join(SIGNERS)}", param_hint="--signer")
    try:
        plan = Plan.load(home)
        if plan is None:
            plan = new_plan(hosts=hosts, ml_nodes=ml_nodes, preset=preset, public_port=public_port, signer=signer)
            plan.save(home)
        end_orphans(home)
        if detach:
            _detach(home)
            if as_json:
                print_json(read_contract(home))
            else:
                say("The network is up. " + "\n\n".join(["To send a request:", *first_requests(plan)]))
        else:
            asyncio.run(run(plan, home, Console()))
    except UpgradeDue as due:
        say(str(due))
        raise typer.Exit(EXIT_UPGRADE) from due
    except (DevnetError, NodeError) as error:
        raise CommandFailed(str(error)) from error


def _detach(home: Path) -> None:
    """Start the network in a process of its own and wait for its `devnet.json`. Raises CommandFailed, UpgradeDue."""
    contract = home / CONTRACT_FILE
    contract.unlink(missing_ok=True)
    log_file = home / "logs" / "devnet.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pivot.devnet", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS + DETACH_GRACE_SECONDS
    while not contract.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            if process.returncode == EXIT_UPGRADE:
                raise UpgradeDue(log_file.read_text().strip())
            raise CommandFailed(log_file.read_text().strip() or f"the network did not come up; see {log_file}")
        time.sleep(0.1)


@app.command()
def down(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Stop the network; its state stays on disk."""
    try:
        asyncio.run(stop_running(home.resolve()))
    except DevnetError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json({"stopped": True})
    else:
        say("The network is stopped.")


@app.command()
def status(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Say what the network is doing."""
    home = home.resolve()
    try:
        found = asyncio.run(ask(home, load_plan(home)))
    except DevnetError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(found.document())
        return
    typer.echo(f"{found.chain_id}  block {found.height}  epoch {found.epoch}  {found.phase}")
    for host in found.hosts:
        typer.echo(f"host {host.address}  weight {host.weight}  {host.public_url}")
    for process in found.processes:
        typer.echo(f"{process['name']}·{process['host']}  {process['state']}  pid {process['pid']}")


@app.command()
def logs(
    home: Home = DEFAULT_HOME,
    name: Annotated[str, typer.Option(help="Only of processes whose name contains this.")] = "",
    lines: Annotated[int, typer.Option(min=1, help="Last lines of each.")] = SHOWN_LOG_LINES,
    as_json: Json = False,
) -> None:
    """Show the last lines that the processes have written."""
    folder = home.resolve() / "logs"
    files = sorted(path for path in folder.glob("*.log") if name in path.stem)
    if not files:
        raise CommandFailed(f"there are no logs of {name!r} in {folder}" if name else f"there are no logs in {folder}")
    tails = {path.stem: path.read_text(errors="replace").splitlines()[-lines:] for path in files}
    if as_json:
        print_json(tails)
        return
    for stem, tail in tails.items():
        typer.echo(f"== {stem}")
        typer.echo("\n".join(tail))
