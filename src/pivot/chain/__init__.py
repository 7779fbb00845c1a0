"""The state machine. Deterministic: no clock, no randomness, no float, no network, no threads that change results."""

import cosmpy.protos  # noqa: F401  puts the standard Cosmos and ABCI types (`cosmos.…`, `tendermint.…`) on the path
