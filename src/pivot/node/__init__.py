"""The network node's processes on one machine: the consensus engine, the application, the query gateway."""

import cosmpy.protos  # noqa: F401  puts the standard Cosmos and ABCI types (`cosmos.…`, `tendermint.…`) on the path
