"""Calls of the engine's RPC that strangers may make through the public port."""

from typing import Any

import orjson

from pivot.api.http.errors import MalformedBody, NotPermitted

RPC_PREFIX = "/chain-rpc"
RPC_METHODS = frozenset(
    {
        "abci_info",
        "abci_query",
        "block",
        "block_by_hash",
        "block_results",
        "block_search",
        "blockchain",
        "broadcast_tx_async",
        "broadcast_tx_sync",
        "commit",
        "consensus_params",
        "genesis",
        "genesis_chunked",
        "header",
        "header_by_hash",
        "health",
        "net_info",
        "num_unconfirmed_txs",
        "status",
        "tx",
        "tx_search",
        "validators",
    }
)
"""What reads, or hands over a transaction, and is done at once. Not: what waits for a block, dumps, or steers the engine."""
CALL_FIELDS = frozenset({"jsonrpc", "id", "method", "params"})
"""The engine reads names in any case, so another spelling of `method` could name another one."""
MAX_BATCH = 20
"""Calls in one body."""


def require_open(method: object, methods: frozenset[str] = RPC_METHODS) -> None:
    """Raises NotPermitted for a method that is not passed on."""
    if method not in methods:
        raise NotPermitted(f"this port passes on {', '.join(sorted(methods))}; not {str(method)[:100]!r}")


def require_open_calls(body: bytes) -> None:
    """Raises MalformedBody, NotPermitted."""
    document = parsed(body)
    calls = document if isinstance(document, list) else [document]
    if len(calls) > MAX_BATCH:
        raise MalformedBody(f"a batch holds at most {MAX_BATCH} calls, not {len(calls)}")
    for call in calls:
        require_open(method_of(call))


def parsed(text: bytes | str) -> Any:
    """JSON. Raises MalformedBody."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the body is no JSON: {error}") from None


def method_of(call: Any) -> object:
    """The method that a call names. Raises MalformedBody."""
    if not isinstance(call, dict):
        raise MalformedBody("a call is a JSON object")
    if not call.keys() <= CALL_FIELDS:
        raise MalformedBody(f"a call has no fields but {', '.join(sorted(CALL_FIELDS))}")
    return call.get("method")
