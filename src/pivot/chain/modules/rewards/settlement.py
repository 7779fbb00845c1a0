"""The settlement of an epoch: what its hosts have earned and their share of the epoch's reward (design, decisions 7 and 17).

It begins at the switch to the next epoch and takes as many blocks as there are hosts to settle. Rewards leave the supply that
the genesis has set aside for them, share by share; what rounding leaves, what INVALID hosts lose and what nobody claims
goes to the community pool. The sum of all balances never changes.
"""

from collections.abc import Iterator
from heapq import merge
from itertools import islice

from pivot.chain.modules.bank.state import COMMUNITY_POOL, ESCROW, REWARDS, balance, move
from pivot.chain.modules.collateral.slash import slash_downtime
from pivot.chain.modules.epochs.state import epoch as epoch_record
from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.modules.members.state import weights
from pivot.chain.modules.participants.state import put, require_participant
from pivot.chain.modules.rewards.state import (
    STORE,
    SUMMARIES,
    active_hosts,
    forget_settle_amount,
    forget_settlement,
    forget_stats,
    put_settle_amount,
    put_settlement,
    put_summary,
    settle_amounts,
    settlement,
    stats_of,
)
from pivot.chain.modules.rewards.totals import note_rewards
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.primitives import fixed_point
from pivot.protocol.generated.inference.inference.params_pb2 import RewardParams
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    EpochPerformanceSummary,
    ParticipantStatus,
    SettleAmount,
    Settlement,
)

ROWS_PER_BLOCK = 500
"""Hosts settled, claims closed and summaries deleted in one block."""
SUMMARY_EPOCHS = 30
"""Epochs for which summaries are kept: as far back as a reputation looks."""
_SMALLEST_EXPONENT = -40 * fixed_point.ONE


def epoch_reward(params: RewardParams, epoch: int) -> int:
    """ngonka that an epoch pays: the initial reward times exp(decay · (epoch − genesis epoch)), rounded down.

    Epoch 0 pays none, and none is more than the initial reward. After some 84,000 epochs of the published decay nothing is left.
    """
    exponent = params.decay_rate_e18 * max(epoch - params.genesis_epoch, 0)
    if epoch == 0 or exponent < _SMALLEST_EXPONENT:
        return 0
    return fixed_point.multiply_floor(params.initial_epoch_reward, fixed_point.exp(exponent))


def settle(block: Block, ended: Epoch) -> None:
    """Begin the settlement of the epoch whose members serve until this block; `settle_some` does the work.

    Members that were carried over without proof of compute get no reward (decision 6), and no epoch pays more than is left.
    A settlement that is still under way is brought to its end first.
    """
    while settlement(block.state) is not None:
        settle_some(block)
    earned = any(weight > 0 for _, weight in weights(block.state, ended.index)) and not ended.carried_over
    reward = epoch_reward(ended.params.reward_params, ended.index) if earned else 0
    put_settlement(
        block.state,
        Settlement(
            epoch_index=ended.index,
            reward=min(reward, balance(block.state, REWARDS)),
            began_at_height=block.height,
        ),
    )


def settle_some(block: Block) -> None:
    """Go on with the settlement under way, if there is one: late claims first, then hosts in the order of their addresses."""
    under_way = settlement(block.state)
    if under_way is None:
        return
    left = ROWS_PER_BLOCK
    left -= _close_claims(block.state, under_way.epoch_index, left)
    left -= _forget_summaries(block.state, under_way.epoch_index, left)
    left -= _settle_hosts(block, under_way, left)
    if left:
        _finish(block, under_way)
    else:
        put_settlement(block.state, under_way)


def _close_claims(state: State, epoch: int, most: int) -> int:
    """What nobody has claimed before the switch goes to the community pool. Returns the number of claims closed."""
    closed = 0
    for late in islice(settle_amounts(state, before_epoch=epoch), most):
        move(state, ESCROW, COMMUNITY_POOL, late.reward_coins + late.work_coins)
        forget_settle_amount(state, late)
        closed += 1
    return closed


def _forget_summaries(state: State, epoch: int, most: int) -> int:
    """Delete summaries that are too old. Returns their number."""
    forgotten = 0
    end = epoch_key(SUMMARIES, max(epoch - SUMMARY_EPOCHS + 1, 0))
    for key, _ in islice(state.iterate(STORE, SUMMARIES, end), most):
        state.delete(STORE, key)
        forgotten += 1
    return forgotten


def _settle_hosts(block: Block, under_way: Settlement, most: int) -> int:
    """Settle the next hosts, and move their shares of the reward. Returns their number."""
    state, ended = block.state, _record(block.state, under_way.epoch_index)
    weight_of = dict(weights(state, under_way.epoch_index))
    total = sum(weight_of.values())
    settled = given = 0
    for host in islice(_hosts(state, under_way.epoch_index, weight_of, under_way.last), most):
        share = weight_of.get(host, 0) * under_way.reward // total if total else 0
        given += _settle_host(block, ended, host, share, is_member=host in weight_of)
        under_way.last = host
        settled += 1
    move(state, REWARDS, ESCROW, given)
    note_rewards(state, given)
    under_way.shared += given
    return settled


def _hosts(state: Reader, epoch: int, weight_of: dict[str, int], after: str) -> Iterator[str]:
    """Members of the epoch, and hosts of the epoch before that have still finished something in it, by address."""
    members = sorted(address for address in weight_of if address > after)
    last = after
    for host in merge(members, active_hosts(state, epoch, after)):
        if host != last:
            yield host
        last = host


def _settle_host(block: Block, ended: Epoch, host: str, share: int, *, is_member: bool) -> int:
    """Write down what a host may claim, and slash who has missed too much.

    Returns the part of its share that it gets: INVALID hosts get nothing.
    """
    state, epoch = block.state, ended.index
    done = stats_of(state, epoch, host)
    if done.missed_requests:
        asked = done.inference_count + done.missed_requests
        slash_downtime(block, host, done.missed_requests, asked, ended.params)
    record = require_participant(state, host)
    reward, work = share, done.earned_coins
    if record.status == ParticipantStatus.INVALID:
        move(state, ESCROW, COMMUNITY_POOL, work)
        reward = work = 0
    elif is_member:
        record.epochs_completed += 1
        put(state, record)
    if reward or work:
        put_settle_amount(
            state, SettleAmount(participant=host, reward_coins=reward, work_coins=work, epoch_index=epoch)
        )
    put_summary(
        state,
        EpochPerformanceSummary(
            epoch_index=epoch,
            participant_id=host,
            inference_count=done.inference_count,
            missed_requests=done.missed_requests,
            earned_coins=done.earned_coins,
            rewarded_coins=reward,
            validated_inferences=done.validated_inferences,
            invalidated_inferences=done.invalidated_inferences,
        ),
    )
    forget_stats(state, epoch, host)
    return reward


def _record(state: Reader, index: int) -> Epoch:
    """The epoch that is being settled; epochs are kept longer than a settlement can last."""
    found = epoch_record(state, index)
    if found is None:
        raise LookupError(f"epoch {index} is being settled, but has no record")
    return found


def _finish(block: Block, done: Settlement) -> None:
    """The part of the reward that nobody got goes to the community pool."""
    move(block.state, REWARDS, COMMUNITY_POOL, done.reward - done.shared)
    forget_settlement(block.state)
    block.emit("epoch_settled", epoch_index=done.epoch_index, reward=done.reward, shared=done.shared)
