"""What a block costs the application: 2,000 signed sends, over a state on disk, fsync on.

FinalizeBlock with signatures that CheckTx has already found good (the usual case), and with signatures never seen before
(a node that catches up), on one thread and on two; then Commit.

    python benchmarks/chain.py --json
"""

import argparse
import base64
import hashlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cosmpy.protos  # noqa: F401
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from google.protobuf import json_format
from tendermint.abci import types_pb2 as abci
from tendermint.types.params_pb2 import BlockParams, ConsensusParams

from pivot.chain.application import Application
from pivot.chain.server.verification import SignatureThreads
from pivot.chain.signatures import CheckMany
from pivot.chain.store.database import Database
from pivot.chain.types import STORES
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import Participant, ParticipantStatus
from pivot.protocol.parameters import preset_params
from pivot.protocol.transactions import NANOSECONDS, ordered, timestamp

CHAIN_ID = "pivot-benchmark-1"
GENESIS_TIME = 1_700_000_000 * NANOSECONDS
SENDS = 2_000  # of a block, each by an account of its own to an account of its own
BLOCKS = 5
COINS = 10**9

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
    for name, checked, threads in (("checked before", True, 1), ("unseen", False, 1), ("unseen, 2 threads", False, 2)):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            results.append(measure(name, Path(folder), keys, blocks, SignatureThreads(threads).check, checked=checked))
    if options.json:
        print(json.dumps({"benchmark": "chain", "results": results, "machine": machine(), "versions": versions()}))
    else:
        print_table(results)


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


def measure(
    name: str,
    folder: Path,
    keys: Sequence[PrivateKey],
    blocks: Sequence[Sequence[bytes]],
    check_signatures: CheckMany,
    *,
    checked: bool,
) -> Figures:
    """Make and commit the blocks; the first, in which accounts and addresses are new to the process, is not counted."""
    checks: list[float] = []
    finalizes: list[float] = []
    commits: list[float] = []
    with Database.open(folder, STORES) as database:
        application = Application(database, check_signatures)
        application.init_chain(genesis([key.address for key in keys]))
        for height, transactions in enumerate(blocks, 1):
            if checked:
                with clock(checks):
                    for raw in transactions:
                        require(application.check_tx(abci.RequestCheckTx(tx=raw)))
            block = abci.RequestFinalizeBlock(
                txs=transactions, height=height, time=timestamp(GENESIS_TIME + height * NANOSECONDS), hash=bytes(32)
            )
            with clock(finalizes):
                response = application.finalize_block(block)
            for result in response.tx_results:
                require(result)
            with clock(commits):
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


def genesis(addresses: Sequence[str]) -> abci.RequestInitChain:
    """Every account with coins, in order, so that account i has number i."""
    balances = [{"address": each, "coins": [{"denom": "ngonka", "amount": str(COINS)}]} for each in addresses]
    host = Participant(
        address=addresses[0],
        inference_url="http://host.example:9000",
        validator_key=base64.b64encode(bytes(32)).decode(),
        status=ParticipantStatus.ACTIVE,
    )
    participants = [GenesisParticipant(participant=host, weight=10)]
    network = GenesisState(params=preset_params("devnet"), participants=participants)
    state = {
        "auth": {"accounts": [{"address": each} for each in addresses]},
        "bank": {"balances": balances, "supply": [{"denom": "ngonka", "amount": str(COINS * len(addresses))}]},
        "inference": json_format.MessageToDict(network, preserving_proto_field_name=True),
    }
    return abci.RequestInitChain(
        time=timestamp(GENESIS_TIME),
        chain_id=CHAIN_ID,
        consensus_params=ConsensusParams(block=BlockParams(max_bytes=4 * 2**20, max_gas=-1)),
        app_state_bytes=json.dumps(state).encode(),
        initial_height=1,
    )


def require(result: abci.ResponseCheckTx | abci.ExecTxResult) -> None:
    if result.code:
        raise SystemExit(f"a transaction was refused: {result.log}")


@contextmanager
def clock(times: list[float]) -> Iterator[None]:
    """Append the seconds that the body takes."""
    start = time.perf_counter()
    yield
    times.append(time.perf_counter() - start)


def machine() -> dict[str, str | int | None]:
    return {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()}


def versions() -> dict[str, str]:
    return {"python": platform.python_version()}


def print_table(results: Sequence[Figures]) -> None:
    columns = list(results[0])
    print("  ".join(column.rjust(18) for column in columns))
    for result in results:
        print("  ".join(str(result[column]).rjust(18) for column in columns))


if __name__ == "__main__":
    sys.exit(main())
