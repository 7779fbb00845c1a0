"""What the end of an epoch costs, over a state on disk, fsync on: hosts' pay is settled and a slot of each one's schedule released.

All hosts have answered, each holds a schedule of 180 epochs, and each left a claim of the epoch before that nobody took. Blocks do
nothing else. Then a host claims that had 100,000 duties in its epoch: counters tell that it has done them.

    python benchmarks/settlement.py --json
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import cosmpy.protos  # noqa: F401
from report import machine, print_table, versions

from pivot.chain.modules.bank.state import ESCROW, REWARDS, STREAMVESTING, move, put_genesis_balance, put_genesis_supply
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members.state import put_group
from pivot.chain.modules.participants.state import put as put_participant
from pivot.chain.modules.rewards import settlement
from pivot.chain.modules.rewards.messages import process_claim
from pivot.chain.modules.rewards.state import note_finished, put_settle_amount, put_summary
from pivot.chain.modules.rewards.state import settlement as settlement_under_way
from pivot.chain.modules.streamvesting import release
from pivot.chain.modules.streamvesting.state import Schedule, put_schedule
from pivot.chain.modules.streamvesting.state import release as release_under_way
from pivot.chain.modules.validation.state import put_duties
from pivot.chain.store.database import Database
from pivot.chain.types import STORES, Block
from pivot.primitives.addresses import from_bytes
from pivot.primitives.hashes import sha256
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards
from pivot.protocol.generated.inference.inference.types_pb2 import (
    CheckerDuties,
    Epoch,
    EpochGroupData,
    EpochPerformanceSummary,
    Participant,
    ParticipantStatus,
    SettleAmount,
    ValidationWeight,
)
from pivot.protocol.parameters import preset_params
from pivot.protocol.transactions import NANOSECONDS

SIZES = (1_000, 10_000)
"""Hosts."""
SLOTS = 180
COINS = 10**18
COST = 1_000
DUTIES = 100_000
ENDED = 2
"""The epoch that is settled."""

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
        with tempfile.TemporaryDirectory(dir=folder) as place, Database.open(Path(place), STORES) as database:
            results.append(measure(database, hosts))
    return results


def measure(database: Database, hosts: int) -> Figures:
    """Settle an epoch of so many hosts, block by block, and claim for one of them."""
    addresses = [from_bytes(sha256(b"host %d" % number)[:20]) for number in range(hosts)]
    record = prepare(database, addresses)
    made: list[float] = []
    commits: list[float] = []
    began = False
    while True:
        start = time.perf_counter()
        block = Block(database.begin(), "pivot-benchmark-1", database.height + 1, NANOSECONDS, bytes(32))
        if not began:
            settlement.settle(block, record)
            epochs.switch(block, ENDED + 1)
            release.begin(block, ENDED + 1)
            began = True
        settlement.settle_some(block)
        release.release_some(block)
        database.stage(block.height, block.state.changes())
        made.append(time.perf_counter() - start)
        start = time.perf_counter()
        database.commit()
        commits.append(time.perf_counter() - start)
        if settlement_under_way(block.state) is None and release_under_way(block.state) is None:
            break
    start = time.perf_counter()
    block = Block(database.begin(), "pivot-benchmark-1", database.height + 1, NANOSECONDS, bytes(32))
    process_claim(block, MsgClaimRewards(creator=addresses[0], epoch_index=ENDED))
    claim = time.perf_counter() - start
    return {
        "hosts": hosts,
        "blocks": len(made),
        "longest_block_ms": round(max(made) * 1e3, 1),
        "longest_commit_ms": round(max(commits) * 1e3, 1),
        "in_all_ms": round((sum(made) + sum(commits)) * 1e3, 1),
        "claim_ms": round(claim * 1e3, 2),
    }


def prepare(database: Database, addresses: list[str]) -> Epoch:
    """The state before a switch. Returns the record of the epoch that ends."""
    block = Block(database.begin(), "pivot-benchmark-1", 1, NANOSECONDS, bytes(32))
    state = block.state
    params = preset_params("mainnet")
    for index in (ENDED, ENDED + 1):
        calendar = boundaries(params.epoch_params, 10)
        epochs.put(state, Epoch(index=index, boundaries=calendar, params=params, randomness=bytes(32)))
    epochs.switch(block, ENDED)
    put_genesis_balance(state, REWARDS, COINS)
    put_genesis_balance(state, ESCROW, COINS)
    put_genesis_supply(state, 2 * COINS)
    for address in addresses:
        status = ParticipantStatus.ACTIVE
        put_participant(state, Participant(index=address, address=address, status=status, inference_url="http://host"))
        note_finished(state, address, COST)
        put_settle_amount(state, SettleAmount(participant=address, work_coins=COST, epoch_index=ENDED - 1))
        put_summary(state, EpochPerformanceSummary(participant_id=address, epoch_index=ENDED - 1))
        put_schedule(state, address, Schedule(ENDED + 1, (COST,) * SLOTS))
        put_duties(state, CheckerDuties(participant=address, epoch_index=ENDED, due=DUTIES, done=DUTIES))
    move(state, ESCROW, STREAMVESTING, COST * SLOTS * len(addresses))
    members = [ValidationWeight(member_address=address, weight=10) for address in sorted(addresses)]
    put_group(state, EpochGroupData(epoch_index=ENDED, validation_weights=members, total_weight=10 * len(members)))
    database.stage(1, state.changes())
    database.commit()
    return epochs.effective(state)


if __name__ == "__main__":
    sys.exit(main())
