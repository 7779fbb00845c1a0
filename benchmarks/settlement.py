"""What the end of an epoch costs, over a state on disk, fsync on: whole blocks, with nothing in them but the end of the epoch.

- `form`: the blocks from the end of the checks of the sprint on, in which commits and votes become members and groups;
- `switch`: the block in which the next epoch's members begin to serve, and the engine is told of their powers;
- `settle`: the blocks after it, until all pay is settled and a slot of every vesting schedule is released.

Blocks are told in CPU time of the application's one thread, their commits by the clock, as they wait for the disk.

All hosts have one node, have committed, were checked by committees of 16 and have answered; each holds a schedule of 180
epochs, has served for 30 and left a claim of the epoch before that nobody took. Then a host claims that had 100,000 duties: counters tell that it
has done them.

    python benchmarks/settlement.py --json
"""

import argparse
import base64
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cosmpy.protos  # noqa: F401
from report import machine, print_table, versions

from pivot.chain.block import process_block
from pivot.chain.modules.bank.state import ESCROW, REWARDS, STREAMVESTING, move, put_genesis_balance, put_genesis_supply
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members.state import group, put_group
from pivot.chain.modules.models.state import put as put_model
from pivot.chain.modules.params.state import set_params
from pivot.chain.modules.participants.state import put as put_participant
from pivot.chain.modules.participants.state import put_hardware
from pivot.chain.modules.poc.state import put_commit, put_votes
from pivot.chain.modules.poc.tally import checkers
from pivot.chain.modules.rewards.messages import process_claim
from pivot.chain.modules.rewards.settlement import SUMMARY_EPOCHS
from pivot.chain.modules.rewards.state import note_finished, put_settle_amount, put_summary
from pivot.chain.modules.rewards.state import settlement as settlement_under_way
from pivot.chain.modules.streamvesting.state import Schedule, put_schedule
from pivot.chain.modules.streamvesting.state import release as release_under_way
from pivot.chain.modules.validation.state import put_duties
from pivot.chain.modules.validators.state import process_updates, prove, set_members
from pivot.chain.signatures import Signatures
from pivot.chain.store.database import Database
from pivot.chain.store.journal import State
from pivot.chain.types import STORES, Block
from pivot.primitives.addresses import consensus_address, from_bytes
from pivot.primitives.hashes import sha256
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards
from pivot.protocol.generated.inference.inference.types_pb2 import (
    CheckerDuties,
    Epoch,
    EpochGroupData,
    EpochPerformanceSummary,
    HardwareNode,
    HardwareNodes,
    MLNodeInfo,
    Model,
    Participant,
    ParticipantStatus,
    PocCommit,
    PocNodeCommit,
    PocVerdict,
    PocVote,
    PocVotes,
    SettleAmount,
    ValidationWeight,
)
from pivot.protocol.parameters import preset_params
from pivot.protocol.transactions import NANOSECONDS

CHAIN_ID = "pivot-benchmark-1"
MODEL = "pivot/tiny-chat"
SIZES = (1_000, 10_000)
"""Hosts."""
SLOTS = 180
COINS = 10**18
COST = 1_000
WEIGHT = 10
DUTIES = 100_000
ENDED = 40
"""The epoch that is settled."""
LEAVES = 100

Figures = dict[str, int | float | str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, help="where to put the state for the time being")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    results = measure_settlements(options.folder)
    if options.json:
        document = {"benchmark": "settlement", "settlements": results}
        print(json.dumps(document | {"machine": machine(), "versions": versions()}))
    else:
        print_table(results)


def measure_settlements(folder: Path | None) -> list[Figures]:
    """One settlement for each number of hosts, each over a state of its own."""
    results = []
    for hosts in SIZES:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            results.append(measure(Path(place), hosts))
    return results


def measure(folder: Path, hosts: int) -> Figures:
    """End an epoch of so many hosts, block by block, and claim for one of them."""
    addresses = sorted(from_bytes(sha256(b"host %d" % number)[:20]) for number in range(hosts))
    with Database.open(folder, STORES) as database:
        upcoming = prepare(database, addresses)
    with Database.open(folder, STORES) as database:  # as a node that begins with this state
        return end_epoch(database, addresses, upcoming)


def end_epoch(database: Database, addresses: Sequence[str], upcoming: Epoch) -> Figures:
    """Make the blocks of an epoch's end, and claim for one of its hosts."""
    form: list[float] = []
    commits: list[float] = []
    height = upcoming.boundaries.poc_validation_end
    while not is_formed(database, upcoming):
        made, committed = make_block(database, height + len(form))
        form.append(made)
        commits.append(committed)
    make_block(database, database.height + 1)  # the first to look at the new members
    switch, committed = make_block(database, upcoming.boundaries.set_new_validators)
    settle: list[float] = []
    settle_commits = [committed]
    while is_under_way(database):
        made, committed = make_block(database, database.height + 1)
        settle.append(made)
        settle_commits.append(committed)
    start = time.process_time()
    process_claim(begin(database, database.height + 1), MsgClaimRewards(creator=addresses[0], epoch_index=ENDED))
    claim = time.process_time() - start
    return {
        "hosts": len(addresses),
        "form_blocks": len(form),
        "longest_form_ms": milliseconds(max(form)),
        "form_in_all_ms": milliseconds(sum(form) + sum(commits)),
        "switch_ms": milliseconds(switch),
        "settle_blocks": len(settle),
        "longest_settle_ms": milliseconds(max(settle)),
        "settle_in_all_ms": milliseconds(switch + sum(settle) + sum(settle_commits)),
        "longest_commit_ms": milliseconds(max(commits + settle_commits)),
        "claim_ms": round(claim * 1e3, 2),
    }


def make_block(database: Database, height: int) -> tuple[float, float]:
    """Make an empty block. Returns the CPU seconds up to its app hash, and the seconds of its commit."""
    start = time.process_time()
    block = begin(database, height)
    process_block(block, [], Signatures())
    database.stage(height, block.state.changes())
    made = time.process_time() - start
    start = time.perf_counter()
    database.commit()
    return made, time.perf_counter() - start


def begin(database: Database, height: int) -> Block:
    return Block(database.begin(), CHAIN_ID, height, height * NANOSECONDS, bytes(32))


def is_formed(database: Database, upcoming: Epoch) -> bool:
    with database.view() as state:
        return group(state, upcoming.index) is not None


def is_under_way(database: Database) -> bool:
    with database.view() as state:
        return settlement_under_way(state) is not None or release_under_way(state) is not None


def milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 1)


def prepare(database: Database, addresses: list[str]) -> Epoch:
    """The state before the formation of the next epoch. Returns its record."""
    block = begin(database, 1)
    state, params = block.state, preset_params("mainnet")
    set_params(state, params)
    put_model(state, Model(id=MODEL))
    upcoming = put_epochs(block, params)
    put_genesis_balance(state, REWARDS, COINS)
    put_genesis_balance(state, ESCROW, COINS)
    put_genesis_supply(state, 2 * COINS)
    for address in addresses:
        put_host(state, address)
        note_finished(state, address, COST)
        put_settle_amount(state, SettleAmount(participant=address, work_coins=COST, epoch_index=ENDED - 1))
        for index in range(ENDED - SUMMARY_EPOCHS, ENDED):
            put_summary(state, EpochPerformanceSummary(participant_id=address, epoch_index=index, inference_count=COST))
        put_schedule(state, address, Schedule(ENDED + 1, (COST,) * SLOTS))
        put_duties(state, CheckerDuties(participant=address, epoch_index=ENDED, due=DUTIES, done=DUTIES))
    move(state, ESCROW, STREAMVESTING, COST * SLOTS * len(addresses))
    put_members(block, addresses)
    put_sprint(state, upcoming, addresses)
    database.stage(1, state.changes())
    database.commit()
    return upcoming


def put_epochs(block: Block, params: Params) -> Epoch:
    """The epoch that serves and, after it, the one whose sprint is over."""
    start = 10
    for index in (ENDED, ENDED + 1):
        marks = boundaries(params.epoch_params, start)
        made = Epoch(
            index=index, poc_start_block_height=start, boundaries=marks, params=params, randomness=sha256(b"%d" % index)
        )
        epochs.put(block.state, made)
        start = marks.next_poc_start
    epochs.switch(block, ENDED)
    return made


def put_host(state: State, address: str) -> None:
    key = base64.b64encode(consensus_key(address)).decode()
    record = Participant(index=address, address=address, inference_url="http://host", validator_key=key)
    record.status = ParticipantStatus.ACTIVE
    put_participant(state, record)
    put_hardware(
        state,
        HardwareNodes(
            participant=address,
            hardware_nodes=[HardwareNode(local_id="node1", node_number=1, models=[MODEL])],
        ),
    )


def consensus_key(address: str) -> bytes:
    return sha256(b"consensus " + address.encode())


def put_members(block: Block, addresses: list[str]) -> None:
    """All hosts are members of the epoch that serves, and validators whom the engine knows."""
    nodes = [MLNodeInfo(node_id="node1", node_number=1, poc_weight=WEIGHT, proven_weight=WEIGHT)]
    members = [
        ValidationWeight(member_address=address, weight=WEIGHT, ml_nodes=nodes, proven_weight=WEIGHT)
        for address in addresses
    ]
    for model, subgroups in (("", [MODEL]), (MODEL, [])):
        group = EpochGroupData(
            epoch_index=ENDED,
            model_id=model,
            validation_weights=members,
            total_weight=WEIGHT * len(members),
            sub_group_models=subgroups,
        )
        put_group(block.state, group)
    set_members(block, [(address, consensus_key(address)) for address in addresses])
    for address in addresses:
        prove(block.state, consensus_address(consensus_key(address)))
    process_updates(block)


def put_sprint(state: State, upcoming: Epoch, addresses: list[str]) -> None:
    """Commits of all hosts, and their checkers' votes."""
    votes: dict[str, list[PocVote]] = {}
    for number, address in enumerate(addresses):
        count = WEIGHT + 1 + number % WEIGHT  # no two epochs give the same weights
        node = PocNodeCommit(node_number=1, node_id="node1", count=count, merkle_root=bytes(32))
        put_commit(
            state,
            PocCommit(
                participant=address,
                epoch_index=upcoming.index,
                nodes=[node],
                hash_chain_tip=sha256(address.encode()),
                voted_on=True,
            ),
        )
        vote = PocVote(participant=address, checked=LEAVES, verdict=PocVerdict.POC_VALID)
        for checker in checkers(state, upcoming, address):
            votes.setdefault(checker, []).append(vote)
    for checker, cast in votes.items():
        put_votes(state, PocVotes(checker=checker, epoch_index=upcoming.index, votes=cast, revealed=True))


if __name__ == "__main__":
    sys.exit(main())
