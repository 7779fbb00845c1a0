"""Who did not sign the last block, and what follows from it.

A vote for no block counts as a signature: the validator's engine runs. The cost of a block grows with the signatures that
are missing, not with the number of validators.
"""

from pivot.chain.modules.collateral.slash import Reason, slash_for
from pivot.chain.modules.participants.state import by_consensus_address
from pivot.chain.modules.slashing.state import (
    Rules,
    Sentence,
    Signing,
    forget_missed,
    is_jailed,
    put_missed,
    put_sentence,
    put_signing,
    rules,
    signing,
)
from pivot.chain.types import Block, CommitVote
from pivot.primitives.addresses import consensus_text


def note_votes(block: Block) -> None:
    """Count the signatures that are missing in the last commit; jail whoever has missed too many of a window.

    A key that came into the set less than a window ago is not judged yet.
    """
    for vote in block.last_commit:
        if not vote.signed:
            _note_missed(block, vote)


def punish_double_sign(block: Block, address: str, address20: bytes, power: int) -> None:
    """Slash a participant whose key has signed twice, and jail it for ever; whatever key it takes next changes nothing."""
    taken = slash_for(block, address, rules(block.state).double_sign_fraction, Reason.DOUBLE_SIGN)
    put_sentence(block.state, address, Sentence(until=0, for_ever=True))
    _tell(block, address20, power, Reason.DOUBLE_SIGN, taken)


def _note_missed(block: Block, vote: CommitVote) -> None:
    found = signing(block.state, vote.address)
    owner = by_consensus_address(block.state, vote.address)
    if found is None or owner is None or is_jailed(block.state, owner):
        return  # on its way out of the engine's set, or kept there because nobody else is left
    judged_by = rules(block.state)
    expired = forget_missed(block.state, vote.address, block.height - judged_by.window + 1)
    put_missed(block.state, vote.address, block.height)
    found = found._replace(missed=found.missed - expired + 1)
    put_signing(block.state, vote.address, found)
    block.emit("liveness", address=consensus_text(vote.address), missed_blocks=found.missed, height=block.height)
    if found.missed > judged_by.most_missed and block.height > found.since + judged_by.window:
        _punish_downtime(block, owner, vote, found, judged_by)


def _punish_downtime(block: Block, owner: str, vote: CommitVote, found: Signing, judged_by: Rules) -> None:
    taken = slash_for(block, owner, judged_by.downtime_fraction, Reason.BLOCKS_MISSED)
    forget_missed(block.state, vote.address)
    put_signing(block.state, vote.address, found._replace(missed=0))
    put_sentence(block.state, owner, Sentence(block.time + judged_by.jail_ns))
    _tell(block, vote.address, vote.power, Reason.BLOCKS_MISSED, taken)


def _tell(block: Block, address20: bytes, power: int, reason: Reason, taken: int) -> None:
    """The published event. Its coins are named burned; here they go to the community pool."""
    name = consensus_text(address20)
    block.emit("slash", address=name, power=power, reason=reason, jailed=name, burned_coins=taken)
