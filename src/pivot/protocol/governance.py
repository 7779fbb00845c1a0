"""Parameters of governance (`cosmos.gov.v1.Params`): a preset's, and the rules that every set of them must keep.

A wrong set could not be voted away again, so what would end governance is refused: periods without an end, thresholds that
nobody can reach, deposits that nobody has.
"""

from collections.abc import Sequence

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.gov.v1.gov_pb2 import Params
from google.protobuf.duration_pb2 import Duration

from pivot.primitives.addresses import InvalidAddress, to_bytes
from pivot.primitives.coins import BASE_DENOM, InvalidCoin, parse_amount
from pivot.primitives.fixed_point import ONE
from pivot.protocol.decimals import InvalidDecimal, parse, text

LONGEST_PERIOD_SECONDS = 30 * 86_400
MOST_MIN_DEPOSIT = 10**16
"""ngonka; ten million gonka, a hundredth of the supply."""
HIGHEST_QUORUM = 9 * ONE // 10
LOWEST_THRESHOLD = ONE // 2
"""Below it a proposal and its contrary could both pass (W-25)."""
HIGHEST_THRESHOLD = 9 * ONE // 10
LOWEST_VETO_THRESHOLD = ONE // 10
"""Below it a few could stop everything."""

PERIODS = {
    "test": (20, 20, 5),
    "devnet": (60, 60, 20),
    "mainnet": (2 * 86_400, 2 * 86_400, 12 * 3_600),
}
"""Seconds of the deposit period, the voting period, and the voting period of an expedited proposal."""


class InvalidGovernance(ValueError):
    """A set of parameters that would end governance; the sentence names the field."""


def gov_params(preset: str) -> Params:
    """Parameters of governance of a preset; those of mainnet are the published ones."""
    deposit, voting, expedited = PERIODS[preset]
    return Params(
        min_deposit=[Coin(denom=BASE_DENOM, amount="25000000")],
        max_deposit_period=Duration(seconds=deposit),
        voting_period=Duration(seconds=voting),
        quorum="0.334000000000000000",
        threshold="0.500000000000000000",
        veto_threshold="0.334000000000000000",
        min_initial_deposit_ratio="0.100000000000000000",
        proposal_cancel_ratio="0.500000000000000000",
        expedited_voting_period=Duration(seconds=expedited),
        expedited_threshold="0.667000000000000000",
        expedited_min_deposit=[Coin(denom=BASE_DENOM, amount="50000000")],
        burn_vote_veto=True,
        min_deposit_ratio="0.010000000000000000",
    )


def check_gov_params(params: Params) -> None:
    """Refuse parameters under which nothing could be agreed on any more. Raises InvalidGovernance."""
    least = _deposit("min_deposit", params.min_deposit)
    if _deposit("expedited_min_deposit", params.expedited_min_deposit) < least:
        raise InvalidGovernance("expedited_min_deposit must not be below min_deposit")
    _seconds("max_deposit_period", params.max_deposit_period)
    voting = _seconds("voting_period", params.voting_period)
    if _seconds("expedited_voting_period", params.expedited_voting_period) >= voting:
        raise InvalidGovernance("expedited_voting_period must be shorter than voting_period")
    _share("quorum", params.quorum, 1, HIGHEST_QUORUM)
    threshold = _share("threshold", params.threshold, LOWEST_THRESHOLD, HIGHEST_THRESHOLD)
    if _share("expedited_threshold", params.expedited_threshold, LOWEST_THRESHOLD, HIGHEST_THRESHOLD) <= threshold:
        raise InvalidGovernance("expedited_threshold must be above threshold")
    _share("veto_threshold", params.veto_threshold, LOWEST_VETO_THRESHOLD, ONE)
    for name in ("min_initial_deposit_ratio", "proposal_cancel_ratio", "min_deposit_ratio"):
        _share(name, getattr(params, name), 0, ONE)
    if params.proposal_cancel_dest:
        try:
            to_bytes(params.proposal_cancel_dest)
        except InvalidAddress as error:
            raise InvalidGovernance(f"proposal_cancel_dest: {error}") from None


def seconds(period: Duration) -> int:
    """A period that `check_gov_params` has let through: whole seconds."""
    return int(period.seconds)


def _deposit(name: str, coins: Sequence[Coin]) -> int:
    if len(coins) != 1 or coins[0].denom != BASE_DENOM:
        raise InvalidGovernance(f"{name} must be one coin, in {BASE_DENOM}")
    try:
        amount = parse_amount(coins[0].amount)
    except InvalidCoin as error:
        raise InvalidGovernance(f"{name}: {error}") from None
    if amount > MOST_MIN_DEPOSIT:
        raise InvalidGovernance(f"{name} must not be above {MOST_MIN_DEPOSIT}{BASE_DENOM}")
    return amount


def _seconds(name: str, period: Duration) -> int:
    if not 0 < period.seconds <= LONGEST_PERIOD_SECONDS or period.nanos:
        raise InvalidGovernance(f"{name} must be whole seconds, 1 to {LONGEST_PERIOD_SECONDS}")
    return seconds(period)


def _share(name: str, written: str, least: int, most: int) -> int:
    try:
        share = parse(written)
    except InvalidDecimal as error:
        raise InvalidGovernance(f"{name}: {error}") from None
    if not least <= share <= most:
        raise InvalidGovernance(f"{name} must be between {text(least)} and {text(most)}")
    return share
