"""What two processes must agree on: messages, sign bytes, parameters, shared rules, HTTP shapes. Pure."""

import contextlib

with contextlib.suppress(ModuleNotFoundError):  # the interpreter that computes sprints has no messages
    import cosmpy.protos  # noqa: F401  puts the standard Cosmos and ABCI types (`cosmos.…`, `tendermint.…`) on the path
