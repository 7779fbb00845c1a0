"""The sprint on torch: the same bits in, the same fingerprints out (within the tolerance), on GPUs at their speed.

torch is an extra. Nothing outside this package imports it, and nothing imports this package before a worker process
has been told to use it.
"""
