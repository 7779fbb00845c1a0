"""What governance refuses: who may vote, what may be proposed, how large it may be."""

from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.authz.v1beta1.tx_pb2 import MsgExec
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.distribution.v1beta1.tx_pb2 import MsgCommunityPoolSpend
from cosmos.gov.v1 import query_pb2 as q
from cosmos.gov.v1.gov_pb2 import WeightedVoteOption
from cosmos.gov.v1.tx_pb2 import MsgDeposit, MsgSubmitProposal, MsgUpdateParams, MsgVote, MsgVoteWeighted
from google.protobuf.message import Message

from pivot.chain.errors import GovCode, NetworkCode, Rejection, SdkCode
from pivot.chain.modules.bank.state import ESCROW
from pivot.chain.modules.gov import messages
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.registry import GOVERNED, MESSAGES
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgCreatePartialUpgrade,
    MsgRegisterModel,
)
from pivot.protocol.governance import gov_params
from pivot.protocol.messages import pack, type_url
from tests.chain.chain import events_of, key
from tests.chain.modules.governance import COINS, DEPOSIT, NO, SERVICE, VETO, YES, Parliament, address, coins

MODEL = MsgRegisterModel(authority=AUTHORITY, id="org/model")


def submission(*carried: Message, **fields: Any) -> MsgSubmitProposal:
    return MsgSubmitProposal(
        **{
            "messages": [pack(message) for message in carried],
            "initial_deposit": coins(DEPOSIT),
            "proposer": address("alice"),
            "title": "A title",
            "summary": "What it is for",
            **fields,
        }
    )


def refusal(message: Message) -> Rejection:
    """Of the stateless check."""
    handler = MESSAGES.find(type_url(message))
    assert handler is not None
    with pytest.raises(Rejection) as refused:
        handler.check(message)
    return refused.value


def test_a_member_votes_again_and_the_later_vote_counts() -> None:
    chain = Parliament()
    proposal_id = chain.propose()
    chain.vote(proposal_id, YES, "alice")
    chain.vote(proposal_id, NO, "alice")
    found = chain.query(f"{SERVICE}/Votes", q.QueryVotesRequest(proposal_id=proposal_id)).votes
    assert [each.options[0].option for each in found] == [NO]
    tally = chain.query(f"{SERVICE}/TallyResult", q.QueryTallyResultRequest(proposal_id=proposal_id)).tally
    assert (tally.yes_count, tally.no_count) == ("0", "30")


def test_a_vote_is_told_in_the_published_event() -> None:
    chain = Parliament()
    proposal_id = chain.propose()
    options = [WeightedVoteOption(option=YES, weight="0.7"), WeightedVoteOption(option=VETO, weight="0.3")]
    voted = MsgVoteWeighted(proposal_id=proposal_id, voter=address("alice"), options=options)
    assert events_of(chain.deliver(key("alice"), voted), "proposal_vote") == [
        {
            "voter": address("alice"),
            "option": 'option:VOTE_OPTION_YES weight:"0.7"\noption:VOTE_OPTION_NO_WITH_VETO weight:"0.3"',
            "proposal_id": str(proposal_id),
            "msg_index": "0",
        }
    ]


def test_who_is_no_member_cannot_vote() -> None:
    chain = Parliament()
    proposal_id = chain.propose()
    result = chain.deliver(key("dave"), MsgVote(proposal_id=proposal_id, voter=address("dave"), option=YES))
    assert (result.code, result.codespace) == (GovCode.INVALID_VOTE, "gov")
    assert "no member" in result.log


def test_only_a_proposal_that_is_voted_on_takes_votes() -> None:
    chain = Parliament()
    waiting = chain.propose(deposit=DEPOSIT // 10)
    for proposal_id in (waiting, 99):
        result = chain.deliver(key("bob"), MsgVote(proposal_id=proposal_id, voter=address("bob"), option=YES))
        assert result.code == GovCode.INACTIVE_PROPOSAL


@pytest.mark.parametrize(
    "options",
    [
        [],
        [(YES, "0.5")],
        [(YES, "0.5"), (YES, "0.5")],
        [(0, "1")],
        [(9, "1")],
        [(YES, "half"), (NO, "0.5")],
        [(YES, "2"), (NO, "-1")],
        [(YES, "1"), (NO, "0")],
    ],
)
def test_a_ballot_that_is_not_whole_is_refused(options: list[tuple[int, str]]) -> None:
    each = [WeightedVoteOption(option=option, weight=weight) for option, weight in options]
    refused = refusal(MsgVoteWeighted(proposal_id=1, voter=address("alice"), options=each))
    assert refused.code == GovCode.INVALID_VOTE


def test_a_vote_of_nobody_or_with_a_long_metadata_is_refused() -> None:
    assert refusal(MsgVote(voter="nobody", option=YES)).code == SdkCode.INVALID_ADDRESS
    long = MsgVote(voter=address("alice"), option=YES, metadata="x" * (messages.MAX_METADATA_BYTES + 1))
    assert refusal(long).code == GovCode.METADATA_TOO_LONG


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"proposer": "nobody"}, SdkCode.INVALID_ADDRESS),
        ({"title": " "}, GovCode.INVALID_PROPOSAL),
        ({"summary": ""}, GovCode.INVALID_PROPOSAL),
        ({"title": "x" * (messages.MAX_TITLE_BYTES + 1)}, GovCode.INVALID_PROPOSAL),
        ({"summary": "ä" * (messages.MAX_SUMMARY_BYTES // 2 + 1)}, GovCode.SUMMARY_TOO_LONG),
        ({"metadata": "x" * (messages.MAX_METADATA_BYTES + 1)}, GovCode.METADATA_TOO_LONG),
        ({"initial_deposit": coins(5, "atom")}, GovCode.INVALID_DEPOSIT_DENOM),
        ({"initial_deposit": coins(5) + coins(6)}, SdkCode.INVALID_COINS),
        ({"initial_deposit": coins(-5)}, SdkCode.INVALID_COINS),
    ],
)
def test_a_proposal_that_says_too_little_or_too_much_is_refused(fields: dict[str, Any], code: int) -> None:
    assert refusal(submission(**fields)).code == code


def test_a_proposal_that_would_fill_the_state_is_refused() -> None:
    crowd = submission(*[MODEL] * (messages.MAX_MESSAGES + 1))
    assert refusal(crowd).code == GovCode.INVALID_PROPOSAL
    large = MsgCreatePartialUpgrade(authority=AUTHORITY, height=9, apiBinariesJson="x" * messages.MAX_MESSAGE_BYTES)
    assert "bytes" in refusal(submission(large)).log


def test_the_gas_of_a_proposal_is_also_that_of_what_it_carries() -> None:
    handler = MESSAGES.find(type_url(MsgSubmitProposal))
    assert handler is not None
    alone, with_model = handler.gas(submission()), handler.gas(submission(MODEL))
    assert 0 < alone < with_model


def test_a_proposal_carries_only_what_governance_alone_may_do() -> None:
    theft = MsgSend(from_address=AUTHORITY, to_address=address("alice"), amount=coins(5))
    for message in (theft, MsgExec(grantee=AUTHORITY), submission(proposer=AUTHORITY)):
        assert refusal(submission(message)).code == GovCode.UNROUTABLE_MESSAGE
    anyone = MsgRegisterModel(authority=address("alice"), id="org/model")
    assert refusal(submission(anyone)).code == GovCode.INVALID_SIGNER
    assert type_url(MsgRegisterModel) in GOVERNED.all()
    assert all(url in MESSAGES.all() for url in GOVERNED.all())


def test_deposits_cannot_be_taken_by_whoever_signs_as_governance() -> None:
    """Every message that governance may send refuses another authority, also outside a proposal."""
    chain = Parliament()
    chain.propose()
    for url in GOVERNED.all():
        kind = GOVERNED.all()[url].type
        result = chain.deliver(key("alice"), kind(authority=address("alice")))
        assert result.code in (NetworkCode.NOT_GOVERNANCE, SdkCode.INVALID_REQUEST), url
    assert chain.held == DEPOSIT


def test_a_proposal_with_a_message_that_would_be_refused_is_refused_at_once() -> None:
    params = gov_params("mainnet")
    params.threshold = "1"
    never = MsgUpdateParams(authority=AUTHORITY, params=params)
    assert "threshold" in refusal(submission(never)).log
    params = gov_params("mainnet")
    params.proposal_cancel_dest = ESCROW
    assert "proposal_cancel_dest" in refusal(MsgUpdateParams(authority=AUTHORITY, params=params)).log


def test_the_community_pool_pays_no_module() -> None:
    gift = MsgCommunityPoolSpend(authority=AUTHORITY, recipient=ESCROW, amount=coins(5))
    assert refusal(gift).code == SdkCode.UNAUTHORIZED
    gift.recipient = "nobody"
    assert refusal(gift).code == SdkCode.INVALID_ADDRESS


def test_a_deposit_needs_coins_that_its_depositor_has() -> None:
    chain = Parliament()
    proposal_id = chain.propose()
    assert chain.put_down(proposal_id, "dave", COINS + 1).code == SdkCode.INSUFFICIENT_FUNDS
    assert refusal(MsgDeposit(proposal_id=proposal_id, depositor=address("dave"))).code == SdkCode.INVALID_COINS
    assert chain.submit(by="dave", deposit=COINS + 1).code == SdkCode.INSUFFICIENT_FUNDS
    assert chain.held == DEPOSIT
