"""A small chain whose members vote: alice weighs 30, bob 20 and carol 10."""

import base64
from collections.abc import Mapping
from typing import Any

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.gov.v1 import query_pb2 as q
from cosmos.gov.v1.gov_pb2 import Proposal
from cosmos.gov.v1.tx_pb2 import MsgDeposit, MsgSubmitProposal, MsgVote
from google.protobuf.message import Message

from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import Participant, ParticipantStatus
from pivot.protocol.messages import pack
from pivot.protocol.parameters import preset_params
from pivot.protocol.transactions import NANOSECONDS
from tests.chain.chain import Chain, consensus_key, events_of, key

MEMBERS = {"alice": 30, "bob": 20, "carol": 10}
COINS = 10**12
DEPOSIT = 25_000_000
EXPEDITED_DEPOSIT = 50_000_000
VOTING_SECONDS = 2 * 86_400
EXPEDITED_SECONDS = 12 * 3_600
SERVICE = "cosmos.gov.v1.Query"
YES, ABSTAIN, NO, VETO = (
    gov.VOTE_OPTION_YES,
    gov.VOTE_OPTION_ABSTAIN,
    gov.VOTE_OPTION_NO,
    gov.VOTE_OPTION_NO_WITH_VETO,
)


def coins(amount: int, denom: str = BASE_DENOM) -> list[Coin]:
    return [Coin(denom=denom, amount=str(amount))] if amount else []


def address(name: str) -> str:
    return key(name).address


def network(weights: Mapping[str, int] = MEMBERS) -> GenesisState:
    """The network's part of a genesis with these members."""
    return GenesisState(
        params=preset_params("test"),
        participants=[
            GenesisParticipant(
                participant=Participant(
                    address=address(name),
                    inference_url=f"http://{name}.example:9000",
                    status=ParticipantStatus.ACTIVE,
                    validator_key=base64.b64encode(consensus_key(name)).decode(),
                    account_public_key=key(name).public_key,
                ),
                weight=weight,
            )
            for name, weight in weights.items()
        ],
    )


class Parliament(Chain):
    """A chain with members who vote, and others who have coins but no weight: dave and erin."""

    def __init__(self, weights: Mapping[str, int] = MEMBERS, **options: Any) -> None:
        balances = {address(name): COINS for name in (*weights, "dave", "erin")}
        balances[address("community")] = COINS
        super().__init__(balances, network(weights), **options)

    def submit(self, *messages: Message, by: str = "alice", deposit: int = DEPOSIT, **fields: Any) -> Any:
        """The result of a proposal with these messages."""
        submitted = MsgSubmitProposal(
            **{
                "messages": [pack(message) for message in messages],
                "initial_deposit": coins(deposit),
                "proposer": address(by),
                "title": "A title",
                "summary": "What it is for",
                **fields,
            }
        )
        return self.deliver(key(by), submitted)

    def propose(self, *messages: Message, **options: Any) -> int:
        """The id of a new proposal."""
        result = self.submit(*messages, **options)
        assert result.code == 0, result.log
        return int(events_of(result, "submit_proposal")[0]["proposal_id"])

    def vote(self, proposal_id: int, option: int, *names: str) -> None:
        """Let these members vote alike."""
        for name in names:
            result = self.deliver(key(name), MsgVote(proposal_id=proposal_id, voter=address(name), option=option))
            assert result.code == 0, result.log

    def put_down(self, proposal_id: int, name: str, amount: int) -> Any:
        """The result of a deposit."""
        return self.deliver(
            key(name), MsgDeposit(proposal_id=proposal_id, depositor=address(name), amount=coins(amount))
        )

    def later(self, seconds: int) -> None:
        """Make a block after so many seconds, and one more."""
        self.time += seconds * NANOSECONDS
        self.block()

    def decide(self, proposal_id: int) -> Proposal:
        """Let the voting period end; the proposal."""
        self.later(VOTING_SECONDS)
        return self.proposal(proposal_id)

    def pass_(self, *messages: Message) -> Proposal:
        """Propose, agree and wait; the proposal as it is then."""
        proposal_id = self.propose(*messages)
        self.vote(proposal_id, YES, "alice", "bob")
        return self.decide(proposal_id)

    def proposal(self, proposal_id: int) -> Proposal:
        found: Proposal = self.query(f"{SERVICE}/Proposal", q.QueryProposalRequest(proposal_id=proposal_id)).proposal
        return found

    def events(self, kind: str) -> list[dict[str, str]]:
        """Events of the last block itself, without what says when in the block they came."""
        found = events_of(self.last, kind)
        return [{name: value for name, value in each.items() if name != "mode"} for each in found]

    @property
    def held(self) -> int:
        """Of the deposits' account."""
        return self.balance(AUTHORITY)
