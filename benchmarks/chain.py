"""What a block costs the application, over a state on disk, fsync on.

- 2,000 signed sends, each by an account of its own: FinalizeBlock with signatures that CheckTx has already found good (the
  usual case), and with signatures never seen before (a node that catches up); then Commit.
- 2,000 inferences of four hosts, in batches: all starts in one block, all finishes in the next.
- The end of an epoch with 1,000 and with 10,000 hosts (`settlement.py`), and a claim.

What the application computes is told in CPU time of its one thread, a commit by the clock, as it waits for the disk.

    python benchmarks/chain.py --json
"""

import argparse
import base64
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cosmpy.protos  # noqa: F401
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.abci.v1beta1.abci_pb2 import TxMsgData
from cosmos.base.v1beta1.coin_pb2 import Coin
from google.protobuf import json_format
from report import machine, print_table, versions
from settlement import measure_settlements
from tendermint.abci import types_pb2 as abci
from tendermint.types.params_pb2 import BlockParams, ConsensusParams

from pivot.chain.application import Application
from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.members.state import weights
from pivot.chain.store.database import Database
from pivot.chain.types import STORES, Reader
from pivot.primitives.keys import PrivateKey
from pivot.protocol import draw
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgFinishInference,
    MsgRecordInferences,
    MsgRecordInferencesResponse,
    MsgStartInference,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    HardwareNode,
    HardwareNodes,
    Model,
    Participant,
    ParticipantStatus,
)
from pivot.protocol.parameters import preset_params
from pivot.protocol.signing import (
    acceptance_sign_bytes,
    body_hash,
    developer_sign_bytes,
    finish_sign_bytes,
    start_sign_bytes,
)
from pivot.protocol.transactions import NANOSECONDS, ordered, timestamp

CHAIN_ID = "pivot-benchmark-1"
GENESIS_TIME = 1_700_000_000 * NANOSECONDS
SENDS = 2_000  # of a block, each by an account of its own
INFERENCES = 2_000  # of a block
HOSTS = 4
ITEMS = 400  # of one batch: 512 KiB hold some more
BLOCKS = 5
COINS = 10**12
MODEL = "pivot/tiny-chat"

Figures = dict[str, int | float | str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--blocks", type=int, default=BLOCKS, help="blocks of each kind")
    arguments.add_argument("--folder", type=Path, help="where to put the state for the time being")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    keys = [PrivateKey(hashlib.sha256(b"%d" % i).digest()) for i in range(SENDS)]
    blocks = [sends(keys, sequence) for sequence in range(options.blocks + 1)]
    results = []
    for name, checked in (("checked before", True), ("unseen", False)):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            results.append(measure_sends(name, Path(folder), keys, blocks, checked=checked))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        inferences = measure_inferences(Path(folder), keys, options.blocks)
    settlements = measure_settlements(options.folder)
    if options.json:
        document = {"benchmark": "chain", "sends": results, "inferences": inferences, "settlements": settlements}
        print(json.dumps(document | {"machine": machine(), "versions": versions()}))
    else:
        print_table(results)
        print_table([inferences])
        print_table(settlements)


def sends(keys: Sequence[PrivateKey], sequence: int) -> list[bytes]:
    """One send of every account to the next one."""
    coin = Coin(denom="ngonka", amount="1")
    return [
        ordered(
            source,
            [MsgSend(from_address=source.address, to_address=keys[i - 1].address, amount=[coin])],
            chain_id=CHAIN_ID,
            account_number=i,
            sequence=sequence,
        )
        for i, source in enumerate(keys)
    ]


def measure_sends(
    name: str,
    folder: Path,
    keys: Sequence[PrivateKey],
    blocks: Sequence[Sequence[bytes]],
    *,
    checked: bool,
) -> Figures:
    """Make and commit the blocks; the first, in which accounts and addresses are new to the process, is not counted."""
    checks: list[float] = []
    finalizes: list[float] = []
    commits: list[float] = []
    with Database.open(folder, STORES) as database:
        application = Application(database)
        application.init_chain(genesis([key.address for key in keys], keys[:1]))
        for height, transactions in enumerate(blocks, 1):
            if checked:
                with clock(checks):
                    for raw in transactions:
                        require(application.check_tx(abci.RequestCheckTx(tx=raw)))
            block = abci.RequestFinalizeBlock(
                txs=transactions, height=height, time=timestamp(time_of(height)), hash=bytes(32)
            )
            with clock(finalizes):
                response = application.finalize_block(block)
            for result in response.tx_results:
                require(result)
            with clock(commits, time.perf_counter):
                application.commit(abci.RequestCommit())
    finalize, commit = statistics.median(finalizes[1:]), statistics.median(commits[1:])
    return {
        "signatures": name,
        "sends": SENDS,
        "check_tx_per_s": round(SENDS / statistics.median(checks[1:])) if checks else 0,
        "finalize_ms": round(finalize * 1e3, 1),
        "commit_ms": round(commit * 1e3, 1),
        "sends_per_s": round(SENDS / (finalize + commit)),
    }


def measure_inferences(folder: Path, keys: Sequence[PrivateKey], blocks: int) -> Figures:
    """Make pairs of blocks, one with the starts of new inferences and one with their finishes."""
    hosts, developers = keys[:HOSTS], keys[HOSTS:]
    times: dict[str, list[float]] = {"starts": [], "finishes": []}
    commits: list[float] = []
    with Database.open(folder, STORES) as database:
        application = Application(database)
        application.init_chain(genesis([key.address for key in keys], hosts))
        require_finalized(application, [], 1)
        application.commit(abci.RequestCommit())
        height, sequences = 1, dict.fromkeys(range(HOSTS), 0)
        for _ in range(blocks + 1):
            with database.view() as state:
                requests = make_requests(state, hosts, developers, time_of(height))
            for kind, items in (
                ("starts", [start for start, _ in requests]),
                ("finishes", [finish for _, finish in requests]),
            ):
                height += 1
                transactions = batches(kind, items, hosts, sequences)
                with clock(times[kind]):
                    results = require_finalized(application, transactions, height)
                with clock(commits, time.perf_counter):
                    application.commit(abci.RequestCommit())
                require_items(results)
    start, finish = (statistics.median(taken[1:]) for taken in times.values())
    commit = statistics.median(commits[2:])
    return {
        "inferences": INFERENCES,
        "block_of_starts_ms": round(start * 1e3, 1),
        "block_of_finishes_ms": round(finish * 1e3, 1),
        "commit_ms": round(commit * 1e3, 1),
        "settled_per_s": round(INFERENCES / (start + finish + 2 * commit)),
    }


def make_requests(
    state: Reader, hosts: Sequence[PrivateKey], developers: Sequence[PrivateKey], time_ns: int
) -> list[tuple[MsgStartInference, MsgFinishInference]]:
    """Requests as all parties sign them, each to a host of its own choice, answered by the first one drawn."""
    members, randomness = weights(state, 0, MODEL), effective(state).randomness
    by_address = {host.address: host for host in hosts}
    made = []
    for i in range(INFERENCES):
        agent, developer = hosts[i % HOSTS], developers[i % len(developers)]
        body, timestamp_ns = body_hash(b"request %d" % i), time_ns + i
        name = developer.sign_base64(developer_sign_bytes(body, timestamp_ns, agent.address))
        executor = by_address[draw.executors(members, name, randomness)[0]]
        start = MsgStartInference(
            creator=agent.address,
            inference_id=name,
            prompt_hash=body,
            model=MODEL,
            requested_by=developer.address,
            assigned_to=executor.address,
            max_tokens=64,
            prompt_token_count=32,
            request_timestamp=timestamp_ns,
            transferred_by=agent.address,
            developer_public_key=developer.public_key,
        )
        start.acceptance_signature = executor.sign_base64(acceptance_sign_bytes(start))
        start.transfer_signature = agent.sign_base64(start_sign_bytes(start))
        finish = MsgFinishInference(
            creator=executor.address,
            inference_id=name,
            response_hash=body,
            artifact_hash=body,
            prompt_token_count=32,
            completion_token_count=48,
            executed_by=executor.address,
            start=start,
        )
        finish.executor_signature = executor.sign_base64(finish_sign_bytes(finish))
        made.append((start, finish))
    return made


def batches(
    kind: str,
    items: Sequence[MsgStartInference | MsgFinishInference],
    hosts: Sequence[PrivateKey],
    sequences: dict[int, int],
) -> list[bytes]:
    """Transactions that carry the items, those of each host in batches of its own."""
    transactions = []
    for number, host in enumerate(hosts):
        own = [item for item in items if item.creator == host.address]
        for first in range(0, len(own), ITEMS):
            message = MsgRecordInferences(creator=host.address)
            getattr(message, kind).extend(own[first : first + ITEMS])
            transactions.append(
                ordered(host, [message], chain_id=CHAIN_ID, account_number=number, sequence=sequences[number])
            )
            sequences[number] += 1
    return transactions


def require_finalized(application: Application, transactions: Sequence[bytes], height: int) -> list[abci.ExecTxResult]:
    """Make one block, in which nothing is refused."""
    block = abci.RequestFinalizeBlock(txs=transactions, height=height, time=timestamp(time_of(height)), hash=bytes(32))
    response = application.finalize_block(block)
    for result in response.tx_results:
        require(result)
    return list(response.tx_results)


def require_items(results: Sequence[abci.ExecTxResult]) -> None:
    """No item of any batch was refused."""
    for result in results:
        (packed,) = TxMsgData.FromString(result.data).msg_responses
        response = MsgRecordInferencesResponse.FromString(packed.value)
        for item in (*response.starts, *response.finishes):
            if item.code:
                raise SystemExit(f"an item was refused: {item.log}")


def time_of(height: int) -> int:
    """Blocks come every 200 ms, Unix nanoseconds."""
    return GENESIS_TIME + height * NANOSECONDS // 5


def genesis(addresses: Sequence[str], hosts: Sequence[PrivateKey]) -> abci.RequestInitChain:
    """Every account with coins, in order, so that account i has number i; these hosts serve the model."""
    keys = {host: hashlib.sha256(host.public_key).digest() for host in hosts}
    return abci.RequestInitChain(
        time=timestamp(GENESIS_TIME),
        chain_id=CHAIN_ID,
        consensus_params=ConsensusParams(block=BlockParams(max_bytes=4 * 2**20, max_gas=-1)),
        app_state_bytes=json.dumps(app_state(addresses, keys)).encode(),
        initial_height=1,
    )


def app_state(addresses: Sequence[str], hosts: Mapping[PrivateKey, bytes]) -> dict[str, Any]:
    """A state in which these accounts have coins, and these hosts (account key, consensus key) weight and a node each."""
    balances = [{"address": each, "coins": [{"denom": "ngonka", "amount": str(COINS)}]} for each in addresses]
    network = GenesisState(
        params=preset_params("devnet"),
        model_list=[Model(id=MODEL)],
        participants=[genesis_host(host, key) for host, key in hosts.items()],
    )
    network.params.epoch_params.epoch_shift = 100_000
    return {
        "auth": {"accounts": [{"address": each} for each in addresses]},
        "bank": {"balances": balances, "supply": [{"denom": "ngonka", "amount": str(COINS * len(addresses))}]},
        "inference": json_format.MessageToDict(network, preserving_proto_field_name=True),
    }


def genesis_host(host: PrivateKey, consensus_key: bytes) -> GenesisParticipant:
    return GenesisParticipant(
        participant=Participant(
            address=host.address,
            inference_url="http://host.example:9000",
            validator_key=base64.b64encode(consensus_key).decode(),
            account_public_key=host.public_key,
            status=ParticipantStatus.ACTIVE,
        ),
        weight=10,
        hardware_nodes=HardwareNodes(hardware_nodes=[HardwareNode(local_id="node1", node_number=1, models=[MODEL])]),
    )


def require(result: abci.ResponseCheckTx | abci.ExecTxResult) -> None:
    if result.code:
        raise SystemExit(f"a transaction was refused: {result.log}")


@contextmanager
def clock(times: list[float], now: Callable[[], float] = time.process_time) -> Iterator[None]:
    """Append the seconds that the body takes."""
    start = now()
    yield
    times.append(now() - start)


if __name__ == "__main__":
    sys.exit(main())
