"""The network node's processes on one machine: the consensus engine, the application, the query gateway."""
