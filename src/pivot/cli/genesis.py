"""`pivot genesis …`: the ceremony in which the first hosts of a network agree on its first state."""

import base64
import binascii
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pivot.chain.genesis import genesis_hash
from pivot.chain.store.database import ReadOnlyDatabase
from pivot.chain.store.errors import StoreError
from pivot.cli.flags import KeyFlags, spread, wrong_usage
from pivot.cli.keyrings import keyring
from pivot.cli.output import CommandFailed, Json, print_json, say
from pivot.node.addresses import parse_address
from pivot.node.ceremony.collection import DEFAULT_WEIGHT, PATTERN, collect, read_gentxs
from pivot.node.ceremony.draft import add_account, new_genesis, read_genesis, write_genesis
from pivot.node.ceremony.errors import CeremonyError
from pivot.node.ceremony.gentx import Gentx
from pivot.node.ceremony.installation import Installation, install
from pivot.node.engine_home import EngineHome
from pivot.node.errors import NodeError
from pivot.node.export import exported
from pivot.node.genesis import check_genesis, genesis_sha256
from pivot.node.join_settings import default_home
from pivot.primitives.canonical_json import dumps
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.parameters import PRESETS

GENESIS_FILE = Path("genesis.json")
GENTX_FOLDER = Path("gentxs")
DEFAULT_CONTEXT_WINDOW = 32_768
MAX_CONTEXT_WINDOW = 2**31
MAX_WEIGHT = 2**31
NEEDED = {"app_state", "chain_id", "consensus_params", "genesis_time", "initial_height", "validators"}
"""What every genesis document has."""
EVERYWHERE = "0.0.0.0:26656"
RPC = "127.0.0.1:26657"

app = typer.Typer(help="The ceremony in which the first hosts agree on a network's first state.", no_args_is_help=True)

GenesisFile = Annotated[Path, typer.Option("--genesis", help="The genesis document.")]
GentxFolder = Annotated[Path, typer.Option("--gentx-dir", help=f"Folder with the hosts' {PATTERN}.")]
Home = Annotated[
    Path | None, typer.Option("--home", help="Folder of the network node.  [PIVOT_HOME; default: ~/.pivot]")
]


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong in a ceremony, as the command's failure."""
    try:
        yield
    except (CeremonyError, NodeError, OSError) as error:
        raise CommandFailed(str(error)) from error


@app.command("init")
def init(
    chain_id: Annotated[str, typer.Argument(help="Name of the new chain.")],
    preset: Annotated[str, typer.Option(help=f"Parameters to begin with: {', '.join(PRESETS)}.")] = "mainnet",
    model: Annotated[
        list[str] | None, typer.Option(help="A model to begin with: ID, or ID=TOKENS of its context window.")
    ] = None,
    genesis_time: Annotated[str, typer.Option(help="First block's time, in RFC 3339.  [default: now]")] = "",
    file: GenesisFile = GENESIS_FILE,
    as_json: Json = False,
) -> None:
    """Draft a genesis document: parameters, models, and the whole supply for rewards and the community pool."""
    if file.exists():
        raise CommandFailed(f"{file} exists already")
    with _told():
        when = genesis_time or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        document = new_genesis(chain_id, preset, dict(map(_model, model or [])), when)
        write_genesis(file, document)
    if as_json:
        print_json({"file": file, "chain_id": chain_id})
    say(f"{file} is a draft for {chain_id}: `pivot genesis add-account` gives first coins.")


@app.command("add-account")
@spread
def give_coins(
    account: Annotated[str, typer.Argument(help="Address, or name of a key.")],
    amount: Annotated[str, typer.Argument(help=f"Coins, such as 1000{BASE_DENOM}; they come from the community pool.")],
    keys: KeyFlags,
    public_key: Annotated[str, typer.Option("--pubkey", help="base64 of the account's key (33 bytes).")] = "",
    file: GenesisFile = GENESIS_FILE,
    as_json: Json = False,
) -> None:
    """Give an account its first coins."""
    digits = amount.removesuffix(BASE_DENOM).replace("_", "")
    if digits == amount or not digits.isdigit():
        raise wrong_usage(f"{amount!r} is no amount such as 1000{BASE_DENOM}")
    with keyring(keys) as ring:
        address = ring.address(account)
    with _told():
        document = read_genesis(file)
        add_account(document, address, int(digits), _base64("--pubkey", public_key) if public_key else b"")
        write_genesis(file, document)
    if as_json:
        print_json({"address": address, "amount": f"{digits}{BASE_DENOM}"})
    say(f"{address} has {digits}{BASE_DENOM} from the first block on.")


@app.command("gentx")
@spread
def sign_gentx(
    key: Annotated[str, typer.Argument(help="The host's account key: name or address.")],
    url: Annotated[str, typer.Option(help="Public URL of the host's API node.")],
    keys: KeyFlags,
    chain_id: Annotated[str, typer.Option(help="Name of the chain.  [default: that of --genesis]")] = "",
    consensus_key: Annotated[
        str,
        typer.Option(
            help="base64 of the key that signs blocks, if a signer holds it.  [default: that of the node in HOME]"
        ),
    ] = "",
    p2p: Annotated[str, typer.Option(help="host:port at which peers will reach the engine.")] = "",
    home: Home = None,
    file: GenesisFile = GENESIS_FILE,
    output_document: Annotated[
        Path | None, typer.Option(help=f"File for the result.  [default: {GENTX_FOLDER}/gentx-ADDRESS.json]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign a host's registration, offline, for the coordinator to collect."""
    engine = EngineHome((home or default_home()).absolute() / "engine")
    with _told(), keyring(keys) as ring:
        chain = chain_id or str(read_genesis(file)["chain_id"])
        engine.make_keys(with_consensus_key=not consensus_key)
        validator_key = _base64("--consensus-key", consensus_key) if consensus_key else engine.consensus_key()
        peer = f"{engine.node_id()}@{p2p}" if p2p else ""
        gentx = Gentx.signed(ring.secret(key), chain, url, validator_key, peer)
        target = output_document or GENTX_FOLDER / f"gentx-{gentx.address}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(gentx.model_dump_json(indent=2) + "\n")
    if as_json:
        print_json(gentx.model_dump())
    say(f"{target} is this host's registration; give it to the coordinator.")


@app.command("collect")
def collect_gentxs(
    file: GenesisFile = GENESIS_FILE,
    folder: GentxFolder = GENTX_FOLDER,
    weight: Annotated[
        int, typer.Option(min=1, max=MAX_WEIGHT, help="Weight of every host until the first proof of compute.")
    ] = DEFAULT_WEIGHT,
    as_json: Json = False,
) -> None:
    """Check every host's signature, and put the hosts into the genesis document."""
    with _told():
        document, gentxs = read_genesis(file), read_gentxs(folder)
        collect(document, gentxs, weight)
        write_genesis(file, document)
    hosts = [{"address": gentx.address, "url": gentx.url, "peer": gentx.peer} for gentx in gentxs]
    if as_json:
        print_json({"hosts": hosts, "sha256": genesis_sha256(document)})
        return
    for host in hosts:
        typer.echo(f"{host['address']}  {host['url']}  {host['peer']}")
    say(f"{len(hosts)} hosts: `pivot genesis validate` checks the whole.")


@app.command("validate")
def validate(
    file: Annotated[Path, typer.Argument(help="The genesis document.")] = GENESIS_FILE,
    as_json: Json = False,
) -> None:
    """Check a genesis document, of a ceremony or exported, as a node does that starts from it, and print its hash.

    Everybody who starts from the document should see the same hash: it is the GENESIS_SHA256 of those who join later.
    """
    with _told():
        document = _document(file)
        check_genesis(document, document["chain_id"], None, str(file))
    shown = {
        "chain_id": document["chain_id"],
        "genesis_time": document["genesis_time"],
        "initial_height": document["initial_height"],
        "validators": len(document["validators"] or []),
        "sha256": genesis_sha256(document),
        "state_sha256": genesis_hash(dumps(document["app_state"])).hex(),
    }
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        typer.echo(f"{name}: {value}")


@app.command("install")
def install_node(
    file: Annotated[Path, typer.Argument(help="The genesis document.")] = GENESIS_FILE,
    home: Home = None,
    folder: GentxFolder = GENTX_FOLDER,
    peer: Annotated[
        list[str] | None, typer.Option(help="node-id@host:port of a peer.  [default: all that the gentxs tell]")
    ] = None,
    moniker: Annotated[str, typer.Option(envvar="KEY_NAME", help="Name of this node among its peers.")] = "",
    p2p: Annotated[str, typer.Option(help="host:port to listen on for peers.")] = EVERYWHERE,
    rpc: Annotated[str, typer.Option(help="host:port of the RPC.")] = RPC,
    external_address: Annotated[
        str, typer.Option(envvar="P2P_EXTERNAL_ADDRESS", help="tcp://host:port at which peers reach this node.")
    ] = "",
    signer: Annotated[str, typer.Option(help="host:port to wait for tmkms on, which holds the consensus key.")] = "",
    as_json: Json = False,
) -> None:
    """Make this machine a node of the network that begins with the document; `pivot node run` runs it."""
    try:
        listening = parse_address(p2p), parse_address(rpc)
    except ValueError as error:
        raise wrong_usage(str(error)) from error
    with _told():
        document = _document(file)
        peers = peer if peer is not None else [gentx.peer for gentx in read_gentxs(folder)]
        settings = Installation(
            home=(home or default_home()).absolute(),
            moniker=moniker or socket.gethostname(),
            p2p=listening[0],
            rpc=listening[1],
            peers=peers,
            external_address=external_address,
            signer=signer,
        )
        sha256 = install(document, settings)
    if as_json:
        print_json({"home": settings.home, "chain_id": document["chain_id"], "sha256": sha256})
    say(f"{settings.home} is a node of {document['chain_id']}, whose genesis has SHA-256 {sha256}")


@app.command("export")
def export(
    home: Home = None,
    chain_id: Annotated[str, typer.Option(help="Name of the chain that goes on.  [default: the same]")] = "",
    output_document: Annotated[Path | None, typer.Option(help="File for the document, in place of stdout.")] = None,
) -> None:
    """Write a node's state after its last block as a genesis document. The node may run meanwhile."""
    try:
        with ReadOnlyDatabase.open((home or default_home()).absolute() / "chain") as database, database.view() as view:
            document = exported(view, chain_id)
    except StoreError as error:
        raise CommandFailed(str(error)) from error
    if output_document is None:
        print_json(document)
        return
    write_genesis(output_document, document)
    say(f"{output_document} goes on at block {document['initial_height']}: `pivot genesis validate` checks it.")


def _document(file: Path) -> dict[str, Any]:
    """A genesis document of any kind. Raises CeremonyError."""
    try:
        document: dict[str, Any] = json.loads(file.read_text())
        complete = document.keys() >= NEEDED
    except (OSError, ValueError, AttributeError) as error:
        raise CeremonyError(f"{file} is no genesis document: {error}") from error
    if not complete:
        raise CeremonyError(f"{file} is no genesis document: it lacks {', '.join(sorted(NEEDED - document.keys()))}")
    return document


def _model(text: str) -> tuple[str, int]:
    name, _, window = text.partition("=")
    if window and not (window.isascii() and window.isdigit() and int(window) <= MAX_CONTEXT_WINDOW):
        raise wrong_usage(f"--model: {text!r} is not ID or ID=TOKENS, with {MAX_CONTEXT_WINDOW} tokens at most")
    return name, int(window or DEFAULT_CONTEXT_WINDOW)


def _base64(option: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise wrong_usage(f"{option}: not base64: {error}") from error
