"""What a host may declare about its ML nodes on the chain. One that is beyond this spoils the whole declaration."""

MAX_NODE_ID_LENGTH = 64
MAX_TEXT_LENGTH = 256
"""Of an address, a port, and the name of a kind of hardware."""
MAX_MODELS_PER_NODE = 32
MAX_HARDWARE_PER_NODE = 32
"""Kinds of it."""
