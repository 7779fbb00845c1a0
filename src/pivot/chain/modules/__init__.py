"""One folder per module: state, messages, queries, genesis, invariants (only those it needs).

A module reads and writes only its own keys, and calls another module's public functions, never its keys.
"""
