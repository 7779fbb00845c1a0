"""`pivot participants …`: become known to a network through one of its hosts, before having any coins."""

import base64
import json
import time
from typing import Annotated, Any

import typer

from pivot.cli.flags import KeyFlags, spread
from pivot.cli.keyrings import keyring
from pivot.cli.keys.adding import fresh
from pivot.cli.output import CommandFailed, Json, print_json, say
from pivot.cli.web import Unanswered, exchange
from pivot.primitives.keys import PrivateKey
from pivot.primitives.mnemonics import DEFAULT_WORDS
from pivot.protocol.signing import registration_sign_bytes

WAIT_SECONDS = 30.0
POLL_SECONDS = 0.5
HTTP_OK, HTTP_REFUSED = 200, 400

app = typer.Typer(help="Become known to a network through one of its hosts.", no_args_is_help=True)

Seed = Annotated[
    str, typer.Option("--node-address", envvar="SEED_API_URL", help="Public URL of a host's API node in the network.")
]


@app.command("register")
@spread
def register(
    url: Annotated[str, typer.Argument(help="Public URL of the new host's API node.")],
    sender: Annotated[str, typer.Option("--from", help="The new host's account key: name or address.")],
    seed: Seed,
    keys: KeyFlags,
    consensus_key: Annotated[
        str, typer.Option(help="base64 of the key that signs blocks.  [default: as the node at --chain-node tells it]")
    ] = "",
    chain_node: Annotated[
        str, typer.Option(envvar="DAPI_CHAIN_NODE__URL", help="URL of the RPC of the new host's own chain node.")
    ] = "http://127.0.0.1:26657",
    chain_id: Annotated[str, typer.Option(help="Name of the chain.  [default: as the seed tells it]")] = "",
    as_json: Json = False,
) -> None:
    """Register a host whose account has no coins: another host sends the registration, which the account's key has signed.

    An API node does this by itself when it starts.
    """
    base, url = seed.rstrip("/"), url.rstrip("/")
    with keyring(keys) as ring:
        key = ring.secret(sender)
    validator_key = consensus_key or str(_ask(f"{chain_node}/status")["result"]["validator_info"]["pub_key"]["value"])
    chain = chain_id or _chain_id(base)
    signed = registration_sign_bytes(chain, key.address, url, validator_key)
    document = {**_consumer(key), "url": url, "validator_key": validator_key}
    _post(base, {**document, "registration_signature": key.sign_base64(signed)})
    _await(base, key.address)
    _tell({"address": key.address, "url": url}, f"{key.address} is registered at {url}.", as_json=as_json)


@app.command("create-client")
@spread
def create_client(
    name: Annotated[str, typer.Argument(help="Your name for the new key.")],
    seed: Seed,
    keys: KeyFlags,
    as_json: Json = False,
) -> None:
    """Make a developer's key and have a host open its account; its mnemonic is shown once, here."""
    base, mnemonic = seed.rstrip("/"), fresh(DEFAULT_WORDS)
    key = PrivateKey.from_mnemonic(mnemonic)
    with keyring(keys) as ring:
        ring.add(name, key)
    _post(base, _consumer(key))
    _await(base, key.address)
    if not as_json:
        typer.echo(f"mnemonic: {mnemonic}")
    shown = {"name": name, "address": key.address, "mnemonic": mnemonic}
    _tell(shown, f"{key.address} is known to the network.", as_json=as_json)


def _consumer(key: PrivateKey) -> dict[str, str]:
    return {"address": key.address, "pub_key": base64.b64encode(key.public_key).decode()}


def _chain_id(base: str) -> str:
    told = _ask(f"{base}/chain-api/cosmos/base/tendermint/v1beta1/node_info")
    return str(told["default_node_info"]["network"])


def _post(base: str, document: dict[str, str]) -> None:
    status, answer = _exchange(f"{base}/v1/participants", "POST", json.dumps(document).encode())
    if status >= HTTP_REFUSED:
        raise CommandFailed(f"the host at {base} refused it ({status}): {answer.decode(errors='replace')[:500]}")


def _await(base: str, address: str) -> None:
    """Return when the network knows the account."""
    deadline = time.monotonic() + WAIT_SECONDS
    while _exchange(f"{base}/v1/participants/{address}")[0] != HTTP_OK:
        if time.monotonic() > deadline:
            raise CommandFailed(f"after {WAIT_SECONDS:.0f} s the network does not know {address} yet")
        time.sleep(POLL_SECONDS)


def _ask(url: str) -> Any:
    status, answer = _exchange(url)
    try:
        return json.loads(answer)
    except ValueError as error:
        raise CommandFailed(f"what answers at {url} is no node ({status})") from error


def _exchange(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    try:
        return exchange(url, method, body)
    except Unanswered as error:
        raise CommandFailed(f"{url} does not answer: {error}") from error


def _tell(document: dict[str, str], sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    say(sentence)
