"""Account keys of a person at a terminal: named, on this machine, with the secret as safe as the backend makes it."""

import cosmpy.protos  # noqa: F401  puts the standard Cosmos types (`cosmos.…`) on the path
