"""What keeps a network node from being set up or started. Each says in one sentence what is wrong and what to do."""


class NodeError(RuntimeError):
    """The network node cannot run like this."""


class EngineMissing(NodeError):
    """No CometBFT of the right version could be found, fetched or built."""


class SignerMissing(NodeError):
    """No tmkms of the right version could be found or built."""


class SignerRefused(NodeError):
    """tmkms would not do what it was asked; its own words say why."""


class TwoConsensusKeys(NodeError):
    """An engine that is to use a signer has a consensus key of its own."""


class PortTaken(NodeError):
    """Another process listens where this node would."""


class DiskNearlyFull(NodeError):
    """There is no room for what a node writes."""


class UpgradeDue(NodeError):
    """The chain has come to the height of an upgrade that this version does not know. It is no failure."""


class ClockOff(NodeError):
    """The clocks of this machine and of the network differ."""


class SeedUnreachable(NodeError):
    """A chain node that was named does not answer, or what answers is no chain node."""


class SeedRefused(NodeError):
    """What a chain node tells is not what was asked for: another chain, another genesis, another block."""


class HomeUnusable(NodeError):
    """The node's folder holds what must not be overwritten."""
