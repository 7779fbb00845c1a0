"""Write docs/protocol/queries.md from the tables of queries: `python docs/queries_reference.py`. A test fails when the page is out of date."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from pivot.chain.gateway.committed import CommittedState
from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.methods import Method, by_service
from pivot.chain.gateway.rest import bindings
from pivot.chain.gateway.run import gateway_methods

PAGE = Path(__file__).parent / "protocol" / "queries.md"
HEADER = """# Queries

Made by `python docs/queries_reference.py` from the tables of queries; do not edit it by hand.

Every query is answered in three ways: gRPC (port 9090; the method is `/SERVICE/NAME`), REST (port 1317; the path below), and the engine's
`abci_query` with the gRPC path (port 26657; not what stands under "Asked of the engine" and "Of the gateway"). All answer from the last
committed block; another `x-cosmos-block-height` is refused. One row with its proof: `abci_query` of `/store/NAME/key` with `prove`.

- JSON is that of the Cosmos SDK's gateway: names of the proto, 64-bit integers as text, enums by name, bytes in base64, decimals with 18 digits,
  nothing left out. Fields of a request are names in the query string (`pagination.limit=5`); a name that the request does not have is passed over.
- Path segments are percent-encoded: an id or a model's name holds `/`, `+` and `=`.
- Lists (those with `pagination`) take `limit` (100 unless given, 1000 at most), `key` (the `next_key` of the page before) or `offset`, `count_total`, `reverse`.
- A refusal is `{"code", "message", "details"}` with the number of the gRPC status: 3 (HTTP 400) the request is wrong, 5 (404) there is no such thing,
  8 (429) too many queries at one time, 12 (501) there is no such path, 13 (500) a bug of this node, 14 (503) the engine is away.
"""
NOT_HERE = """## What the existing network answers and this one does not

| query | why |
| --- | --- |
"""
MISSING = {
    "PocBatchesForStage, CountPoCbatchesAtHeight, CountPoCvalidationsAtHeight": (
        "batches of a sprint are not on the chain; one commit per host is: `PocCommits`, `PocVotes`"
    ),
    "GetUnitOfComputePriceProposal": "prices follow use; a proposal would have no effect",
    "TopMiner, TopMinerAll": "there are no top rewards",
    "BridgeTransaction, BridgeTransactions": "there is no bridge",
    "inference.bls": "there is no threshold key",
    "inference.bookkeeper": "movements of coins are told by events, not by a log of its own",
    "inference.genesistransfer": "accounts of the genesis are not handed over",
    "cosmos.group": "there are no group proposals",
    "cosmos.mint: Params": "no coins are made; inflation and annual provisions are answered, both are 0",
    "cosmos.tx: TxEncodeAmino, TxDecodeAmino": "transactions travel in protobuf alone; amino is a form in which they are signed",
}
"""Names of queries, or the service, and the reason."""
_OF_GATEWAY = ("cosmos.base.node.", "cosmos.base.reflection.", "cosmos.reflection.")
_OF_ENGINE = ("cosmos.base.tendermint.", "cosmos.tx.")


def reference() -> str:
    """The whole page."""
    services = by_service(all_methods())
    ours = [name for name in services if name.startswith("inference.")]
    gateway = [name for name in services if name.startswith(_OF_GATEWAY)]
    engine = [name for name in services if name.startswith(_OF_ENGINE)]
    standard = [name for name in services if name not in {*ours, *gateway, *engine}]
    parts = [HEADER]
    for title, names in (
        ("The network's own", ours),
        ("As on every Cosmos chain", standard),
        ("Asked of the engine", engine),
        ("Of the gateway", gateway),
    ):
        parts.append(f"## {title}\n")
        parts += [f"### `{name}`\n\n{_table(services[name])}" for name in sorted(names)]
    rows = "".join(f"| {names} | {reason} |\n" for names, reason in MISSING.items())
    return "\n".join(parts) + "\n" + NOT_HERE + rows


def all_methods() -> list[Method]:
    """The gateway's methods, over nothing that they could ask."""
    nothing: Any = None
    return gateway_methods(CommittedState(nothing), Engine(nothing, ""))


def _table(methods: Iterable[Method]) -> str:
    rows = "| name | REST | asked | answered |\n| --- | --- | --- | --- |\n"
    for method in sorted(methods, key=lambda each: each.descriptor.name):
        paths = "<br>".join(f"{binding.verb} `{binding.template}`" for binding in bindings(method)) or "none"
        asked, answered = (_names(kind) for kind in (method.descriptor.input_type, method.descriptor.output_type))
        rows += f"| {method.descriptor.name} | {paths} | {asked} | {answered} |\n"
    return rows


def _names(kind: Any) -> str:
    return ", ".join(
        f"`{field.name}[]`" if field.label == FieldDescriptor.LABEL_REPEATED else f"`{field.name}`"
        for field in kind.fields
    )


if __name__ == "__main__":
    PAGE.write_text(reference())
