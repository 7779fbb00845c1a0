"""The chain seen from outside: queries, blocks, transactions. The rest of the API node knows it only through `interface`."""

import pivot.protocol  # noqa: F401  puts the standard Cosmos types on the path
