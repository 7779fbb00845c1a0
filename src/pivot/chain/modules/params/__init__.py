"""What every module reads: the network's parameters, the engine's own, and the few facts that name this chain."""
