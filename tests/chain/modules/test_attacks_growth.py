"""What a vandal fills the state with has an end: a chain in which every epoch brings the same has as many rows after each.

What stays is bounded by the number of accounts, participants, models and votes of governance that came to a decision.
"""

from collections import Counter

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgGrant
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.feegrant.v1beta1.feegrant_pb2 import BasicAllowance
from cosmos.feegrant.v1beta1.tx_pb2 import MsgGrantAllowance
from cosmos.gov.v1.tx_pb2 import MsgSubmitProposal
from google.protobuf.message import Message

from pivot.chain.modules.bank.state import REWARDS
from pivot.chain.modules.epochs.state import effective, effective_index
from pivot.chain.modules.inferences.opening import LONGEST_REQUEST_AGE_NS
from pivot.chain.modules.rewards import settlement
from pivot.chain.modules.statistics import state as statistics
from pivot.chain.types import STORES
from pivot.protocol.epochs import segment_end
from pivot.protocol.generated.inference.collateral.tx_pb2 import MsgDepositCollateral, MsgWithdrawCollateral
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingHardwareResources
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgCreateTrainingTask,
    MsgRevealElement,
    MsgSubmitValidations,
)
from pivot.protocol.generated.inference.inference.types_pb2 import AnswerVerdict, Inference, ValidationReport
from pivot.protocol.hash_chain import element
from pivot.protocol.messages import pack
from pivot.protocol.transactions import NANOSECONDS, timestamp
from tests.chain.chain import CHAIN_ID, Chain, key
from tests.chain.test_block import COINS, HOSTS, SECRET, declare, genesis, must, sprint
from tests.chain.test_checks_in_blocks import answered, other

VANDAL, PREY = key("stranger"), key("prey")
PASSED, FAILED = AnswerVerdict.ANSWER_PASSED, AnswerVerdict.ANSWER_FAILED
EPOCHS_KEPT = 3
SETTLED = 2 * EPOCHS_KEPT + 2
"""Epochs after which nothing may grow any more."""


def vandalise(chain: Chain) -> None:
    """One epoch of everything that leaves rows behind, and the sprint after it."""
    answers = [answered(chain, f"{chain.height} {number}".encode()) for number in range(3)]
    soon = timestamp(chain.time + 60 * NANOSECONDS)
    grant = Grant(authorization=pack(GenericAuthorization(msg="/x")), expiration=soon)
    allowance = pack(BasicAllowance(expiration=soon))
    coin = Coin(denom="ngonka", amount="1")
    messages: list[Message] = [
        MsgGrant(granter=VANDAL.address, grantee=PREY.address, grant=grant),
        MsgGrantAllowance(granter=VANDAL.address, grantee=PREY.address, allowance=allowance),
        MsgDepositCollateral(participant=VANDAL.address, amount=coin),
        MsgWithdrawCollateral(participant=VANDAL.address, amount=coin),
        MsgCreateTrainingTask(
            creator=VANDAL.address, hardware_resources=[TrainingHardwareResources(type="H100", count=1)]
        ),
        MsgSubmitProposal(
            proposer=VANDAL.address,
            title="title",
            summary="summary",
            initial_deposit=[Coin(denom="ngonka", amount="2500000")],
        ),
    ]
    for message in messages:
        result = chain.block(chain.sign_unordered(VANDAL, message))[0]
        assert result.code == 0, result.log
    check(chain, answers[0], PASSED)
    check(chain, answers[1], FAILED)
    sprint(chain, {"alice": 60, "bob": 60})
    chain.time += LONGEST_REQUEST_AGE_NS + 2 * 86_400 * NANOSECONDS
    chain.block()


def check(chain: Chain, answer: Inference, verdict: AnswerVerdict) -> None:
    """The other host reports on the answer; nobody is left who could judge a dispute, which lapses."""
    epoch, name = effective_index(chain.state), other(answer.executed_by)
    chain.advance(segment_end(effective(chain.state).boundaries, answer.segment))
    for segment in range(answer.segment + 1):
        secret = element(CHAIN_ID, epoch, key(name).address, SECRET, segment)
        reveal = MsgRevealElement(creator=key(name).address, epoch_index=epoch, segment=segment, element=secret)
        chain.deliver(key(name), reveal)
    report = ValidationReport(inference_id=answer.inference_id, verdict=verdict, value_e6=990_000)
    must(
        chain,
        name,
        MsgSubmitValidations(creator=key(name).address, epoch_index=epoch, segment=answer.segment, reports=[report]),
    )


def rows(chain: Chain) -> Counter[str]:
    """How many rows there are of each kind: by the part of the key up to the first slash, or its first byte."""
    found: Counter[str] = Counter()
    for store in STORES:
        for row, _ in chain.state.iterate(store):
            kind, slash, _ = row.partition(b"/")
            found[f"{store} {kind.decode()}" if slash and kind.isalpha() else f"{store} \\x{row[0]:02x}"] += 1
    return found


def test_w24_no_kind_of_row_grows_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "SUMMARY_EPOCHS", EPOCHS_KEPT)
    monkeypatch.setattr(statistics, "EPOCHS_KEPT", EPOCHS_KEPT)
    monkeypatch.setattr(statistics, "MINUTES_KEPT", 1)
    document = genesis()
    document.params.validation_params.max_validation_average.CopyFrom(Decimal(value=100))
    document.params.training_params.task_deposit = 1
    balances = {key(name).address: COINS * 100 for name in (*HOSTS, "stranger")} | {REWARDS: 10**18}
    chain = Chain(balances, document)
    for name in HOSTS:
        must(chain, name, declare(name))
    sprint(chain, {"alice": 60, "bob": 60})
    counted = []
    for _ in range(SETTLED):
        vandalise(chain)
        counted.append(rows(chain))
    *before, after = counted
    assert {kind for kind in after if after[kind] > max(each[kind] for each in before)} == set()
    for kind in (
        "CheckerShares",
        "Dispute",
        "Validation",
        "CheckerDuties",
        "AnswerStats",
        "EpochPerformanceSummary",
        "TrainingTask",
    ):
        assert after[f"inference {kind}"] > 0
