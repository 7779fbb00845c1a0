"""Every figure of this node: its name, which is stable, its kind, its labels and what it says. docs/operations.md has the same table."""

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "pivot_api_"


class Kind(StrEnum):
    """Of figures, as Prometheus has them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Figure:
    """One name, with one value for every combination of labels that is known."""

    name: str
    """Without the prefix; a counter's without its `_total`."""
    kind: Kind
    labels: tuple[str, ...]
    says: str

    @property
    def full_name(self) -> str:
        """As it is on the page."""
        return PREFIX + self.name + ("_total" if self.kind is Kind.COUNTER else "")


INFO = Figure("info", Kind.GAUGE, ("version", "address"), "1; this software and this host")
READY = Figure("ready", Kind.GAUGE, (), "1 while `/readyz` says 200")
REQUESTS = Figure(
    "requests", Kind.COUNTER, ("method", "route", "status"), "answers on the public port; route `none`: no such path"
)
REQUESTS_UNDER_WAY = Figure("requests_under_way", Kind.GAUGE, (), "requests on the public port that are being answered")
ADDED_LATENCY = Figure(
    "added_latency_seconds",
    Kind.HISTOGRAM,
    (),
    "what this host as transfer agent took beside the executor, up to the head of the answer (`x-pivot-overhead-ms`)",
)
FIRST_TOKEN = Figure(
    "time_to_first_token_seconds",
    Kind.HISTOGRAM,
    (),
    "from a developer's request to the first bytes of its streamed answer",
)
REQUESTS_WAITING = Figure(
    "requests_waiting", Kind.GAUGE, ("for",), "requests in a line: for their `turn` at this host, or for a free `node`"
)
WRONG_TOKENS = Figure(
    "wrong_tokens", Kind.COUNTER, ("port",), "wrong bearer tokens at the port of the `admin` or of `callbacks`"
)
NODES = Figure("ml_nodes", Kind.GAUGE, ("state",), "ML nodes by what they do")
NODE_REQUESTS = Figure("ml_node_requests", Kind.GAUGE, ("node",), "requests that an ML node answers now")
DUTIES_DUE = Figure("duties_due", Kind.GAUGE, ("kind",), "duties that fell due, as far as they are remembered")
DUTIES_DONE = Figure(
    "duties_done", Kind.GAUGE, ("kind",), "those of them that the chain has, or that need not be told to it"
)
OUTBOX_ENTRIES = Figure("outbox_entries", Kind.GAUGE, (), "messages that are not settled on the chain yet")
OUTBOX_AGE = Figure(
    "outbox_oldest_age_seconds", Kind.GAUGE, (), "since when the oldest of them waits, to about a block"
)
HEIGHT = Figure("block_height", Kind.GAUGE, (), "the newest block that this node has acted on")
LAG_BLOCKS = Figure("chain_lag_blocks", Kind.GAUGE, (), "blocks that the chain node has and this node has not acted on")
BLOCK_AGE = Figure("block_age_seconds", Kind.GAUGE, (), "this machine's clock less the time of that block")
SYNCED = Figure("chain_synced", Kind.GAUGE, (), "1 while the chain node has caught up with its network")
EPOCH = Figure("epoch", Kind.GAUGE, (), "the epoch in force")
PHASE = Figure("phase", Kind.GAUGE, ("phase",), "1 for the phase of the newest epoch")
WEIGHT = Figure("weight", Kind.GAUGE, (), "this host's weight in the epoch in force; 0 while it is no member")
BALANCE = Figure("balance_ngonka", Kind.GAUGE, ("account",), "what the host's and the gateway's account hold")

FIGURES = (
    INFO,
    READY,
    REQUESTS,
    REQUESTS_UNDER_WAY,
    ADDED_LATENCY,
    FIRST_TOKEN,
    REQUESTS_WAITING,
    WRONG_TOKENS,
    NODES,
    NODE_REQUESTS,
    DUTIES_DUE,
    DUTIES_DONE,
    OUTBOX_ENTRIES,
    OUTBOX_AGE,
    HEIGHT,
    LAG_BLOCKS,
    BLOCK_AGE,
    SYNCED,
    EPOCH,
    PHASE,
    WEIGHT,
    BALANCE,
)
