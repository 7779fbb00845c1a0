"""Proposals, deposits and votes: whatever governance may do is proposed, most of it sensible."""

from collections.abc import Iterable, Sequence
from random import Random

from cosmos.consensus.v1.tx_pb2 import MsgUpdateParams as UpdateConsensusParams
from cosmos.distribution.v1beta1.tx_pb2 import MsgCommunityPoolSpend
from cosmos.gov.v1.gov_pb2 import (
    PROPOSAL_STATUS_VOTING_PERIOD,
    VOTE_OPTION_ABSTAIN,
    VOTE_OPTION_NO,
    VOTE_OPTION_NO_WITH_VETO,
    VOTE_OPTION_YES,
    Proposal,
    WeightedVoteOption,
)
from cosmos.gov.v1.tx_pb2 import (
    MsgCancelProposal,
    MsgDeposit,
    MsgSubmitProposal,
    MsgVote,
    MsgVoteWeighted,
)
from cosmos.gov.v1.tx_pb2 import MsgUpdateParams as UpdateGovParams
from cosmos.gov.v1beta1 import gov_pb2 as v1beta1_gov
from cosmos.gov.v1beta1 import tx_pb2 as v1beta1
from cosmos.gov.v1beta1.gov_pb2 import TextProposal
from cosmos.slashing.v1beta1.tx_pb2 import MsgUpdateParams as UpdateSlashingParams
from cosmos.upgrade.v1beta1.tx_pb2 import MsgCancelUpgrade, MsgSoftwareUpgrade
from cosmos.upgrade.v1beta1.upgrade_pb2 import Plan
from google.protobuf.message import Message
from tendermint.types.params_pb2 import ABCIParams

from pivot.chain.modules.gov import state as gov
from pivot.chain.modules.params import state as params
from pivot.chain.modules.restrictions.state import restriction_params
from pivot.chain.modules.slashing import state as slashing
from pivot.primitives.addresses import of_module
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgCreatePartialUpgrade,
    MsgRegisterModel,
    MsgUpdateParams,
)
from pivot.protocol.generated.inference.restrictions.tx_pb2 import MsgUpdateParams as UpdateRestrictions
from pivot.protocol.generated.inference.restrictions.types_pb2 import EmergencyTransferExemption
from pivot.protocol.messages import pack
from tests.simulation.operations.accounts import coins
from tests.simulation.world import DEPOSIT, MODELS, World

AUTHORITY = of_module("gov")
OLDER = 0.15
"""Share of the proposals that wallets of the older version make."""
FAR = 10**6
"""Blocks until an upgrade is due: no run gets there."""
RESTRICTED_BLOCKS = 25
EXEMPTION = "harbour"
OPTIONS = (VOTE_OPTION_YES, VOTE_OPTION_NO, VOTE_OPTION_ABSTAIN, VOTE_OPTION_NO_WITH_VETO)


def propose(world: World, rng: Random) -> Iterable[bytes]:
    """Something that governance alone may do, or nothing but a text."""
    key = rng.choice(world.accounts)
    if rng.random() < OLDER:
        content = pack(TextProposal(title="a text", description="in the older version"))
        older = v1beta1.MsgSubmitProposal(content=content, initial_deposit=coins(DEPOSIT), proposer=key.address)
        yield world.ordered(key, older)
        return
    carried = rng.choice([[], *([message] for message in _governed(world, rng))])
    deposit = rng.choice([DEPOSIT, DEPOSIT, DEPOSIT // 2, 1])
    yield world.ordered(
        key,
        MsgSubmitProposal(
            messages=[pack(message) for message in carried],
            initial_deposit=coins(deposit),
            proposer=key.address,
            title=f"proposal {rng.getrandbits(16)}",
            summary="what the network should do",
            expedited=rng.random() < 0.1,
        ),
    )


def _governed(world: World, rng: Random) -> Sequence[Message]:
    state = world.state
    ours = params.params(state)
    ours.validation_params.timestamp_expiration = rng.randrange(30, 90)
    ours.validation_params.dispute_duration = rng.randrange(3, 8)
    restrictions = restriction_params(state)
    restrictions.restriction_end_block = rng.choice([0, world.height + RESTRICTED_BLOCKS])
    del restrictions.emergency_transfer_exemptions[:]
    restrictions.emergency_transfer_exemptions.append(
        EmergencyTransferExemption(
            exemption_id=EXEMPTION,
            from_address="*",
            to_address=world.accounts[0].address,
            max_amount=str(10**9),
            usage_limit=3,
            expiry_block=world.height + FAR,
            justification="coins must be able to reach the harbour",
        )
    )
    consensus = params.consensus_params(state)
    return [
        MsgUpdateParams(authority=AUTHORITY, params=ours),
        MsgRegisterModel(
            authority=AUTHORITY,
            proposed_by=rng.choice(world.accounts).address,
            id=rng.choice([*MODELS, "org/newcomer"]),
            throughput_per_nonce=rng.randrange(1, 100),
            context_window=4096,
        ),
        MsgCreatePartialUpgrade(authority=AUTHORITY, height=world.height + rng.randrange(5, 60), nodeVersion="v2"),
        MsgSoftwareUpgrade(authority=AUTHORITY, plan=Plan(name="v2", height=world.height + FAR, info="later")),
        MsgCancelUpgrade(authority=AUTHORITY),
        UpdateRestrictions(authority=AUTHORITY, params=restrictions),
        UpdateGovParams(authority=AUTHORITY, params=gov.params(state)),
        UpdateSlashingParams(authority=AUTHORITY, params=slashing.params(state)),
        UpdateConsensusParams(
            authority=AUTHORITY,
            block=consensus.block,
            evidence=consensus.evidence,
            validator=consensus.validator,
            abci=ABCIParams(),
        ),
        MsgCommunityPoolSpend(
            authority=AUTHORITY,
            recipient=rng.choice(world.accounts).address,
            amount=coins(rng.choice([1, 10**9, 10**17])),
        ),
    ]


def _open(world: World, rng: Random) -> Proposal | None:
    found = list(gov.proposals(world.state))
    return rng.choice(found) if found else None


def vote(world: World, rng: Random) -> Iterable[bytes]:
    """All honest hosts vote for one proposal, some in parts; others vote as they like, also those without weight."""
    voting = [each for each in gov.proposals(world.state) if each.status == PROPOSAL_STATUS_VOTING_PERIOD]
    if not voting:
        return
    record = rng.choice(voting)
    for host in world.hosts:
        if host.honest and rng.random() < 0.9:
            yield world.unordered(host.key, MsgVote(proposal_id=record.id, voter=host.address, option=VOTE_OPTION_YES))
        elif rng.random() < 0.5:
            parts = [
                WeightedVoteOption(option=VOTE_OPTION_YES, weight="0.6"),
                WeightedVoteOption(option=VOTE_OPTION_ABSTAIN, weight="0.4"),
            ]
            yield world.unordered(host.key, MsgVoteWeighted(proposal_id=record.id, voter=host.address, options=parts))
        else:
            yield world.unordered(host.key, _any_vote(rng, record.id, host.address))


def _any_vote(rng: Random, proposal_id: int, voter: str) -> Message:
    """For anything, in any version."""
    option = rng.choice(OPTIONS)
    whole = [v1beta1_gov.WeightedVoteOption(option=option, weight="1000000000000000000")]
    return rng.choice(
        [
            MsgVote(proposal_id=proposal_id, voter=voter, option=option),
            v1beta1.MsgVote(proposal_id=proposal_id, voter=voter, option=option),
            v1beta1.MsgVoteWeighted(proposal_id=proposal_id, voter=voter, options=whole),
        ]
    )


def deposit(world: World, rng: Random) -> Iterable[bytes]:
    record = _open(world, rng)
    if record is not None:
        key = rng.choice(world.accounts)
        amount = coins(rng.choice([DEPOSIT, DEPOSIT // 10, 1]))
        version = rng.choice([MsgDeposit, v1beta1.MsgDeposit])
        yield world.ordered(key, version(proposal_id=record.id, depositor=key.address, amount=amount))


def cancel(world: World, rng: Random) -> Iterable[bytes]:
    """The proposer takes a proposal back, or somebody else tries to."""
    record = _open(world, rng)
    if record is not None:
        key = world.key_of(record.proposer) if rng.random() < 0.7 else rng.choice(world.accounts)
        yield world.ordered(key, MsgCancelProposal(proposal_id=record.id, proposer=key.address))
