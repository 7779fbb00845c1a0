"""gRPC and REST over the committed state: a process of its own, which reads and never writes."""
