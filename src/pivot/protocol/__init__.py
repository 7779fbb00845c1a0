"""What two processes must agree on: messages, sign bytes, parameters, shared rules, HTTP shapes. Pure."""

import cosmpy.protos  # noqa: F401  puts the standard Cosmos and ABCI types (`cosmos.…`, `tendermint.…`) on the path
