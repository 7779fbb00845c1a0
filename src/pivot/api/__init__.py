"""The API node: everything that users, developers and ML nodes of one host talk to."""

import cosmpy.protos  # noqa: F401  puts the standard Cosmos and ABCI types (`cosmos.…`, `tendermint.…`) on the path
