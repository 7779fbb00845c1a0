"""What checks of answers cost the application in CPU time of its one thread, over a state on disk.

- `note`: what a finish writes down for the draw of its checkers.
- `first reveal`: the first host of a segment reveals its element; the process prepares the segment's answers.
- `reveal`: every further host.

    python benchmarks/checking.py --json
"""

import argparse
import base64
import json
import tempfile
import time
from pathlib import Path

import cosmpy.protos  # noqa: F401
from report import machine, print_table, versions

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences.answers import note_answer
from pivot.chain.modules.members.state import put_group
from pivot.chain.modules.validation.duties import count_due
from pivot.chain.modules.validation.state import duties
from pivot.chain.store.database import Database
from pivot.chain.types import STORES, Block
from pivot.primitives.addresses import from_bytes
from pivot.primitives.hashes import sha256
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    EpochGroupData,
    Inference,
    ValidationWeight,
)
from pivot.protocol.parameters import preset_params

SIZES = (4_000, 100_000)
"""Answers of a segment."""
HOSTS = 1_000
REVEALS = 20
MODEL = "org/model"
EPOCH = 2

Figures = dict[str, int | float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, help="where to put the state for the time being")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    results = []
    for answers in SIZES:
        with tempfile.TemporaryDirectory(dir=options.folder) as place, Database.open(Path(place), STORES) as database:
            results.append(measure(database, answers))
    if options.json:
        print(json.dumps({"benchmark": "checking", "segments": results, "machine": machine(), "versions": versions()}))
    else:
        print_table(results)


def measure(database: Database, answers: int) -> Figures:
    """One segment with so many answers of 1,000 hosts, each with the same weight."""
    hosts = [from_bytes(sha256(b"host %d" % number)[:20]) for number in range(HOSTS)]
    state = database.begin()
    params = preset_params("mainnet")
    marks = boundaries(params.epoch_params, 1)
    epochs.put(state, Epoch(index=EPOCH, params=params, boundaries=marks))
    block = Block(state, "pivot-benchmark-1", marks.set_new_validators + 1, 1, b"")
    epochs.switch(block, EPOCH)
    shares = [ValidationWeight(member_address=host, weight=10) for host in sorted(hosts)]
    for model in ("", MODEL):
        group = EpochGroupData(
            epoch_index=EPOCH,
            model_id=model,
            validation_weights=shares,
            total_weight=10 * HOSTS,
            sub_group_models=[MODEL],
        )
        put_group(state, group)
    records = [answer(number, hosts[number % HOSTS]) for number in range(answers)]
    began = time.process_time()
    for record in records:
        note_answer(block, record)
    noted = time.process_time() - began
    database.stage(1, state.changes())
    database.commit()
    block = Block(database.begin(), "pivot-benchmark-1", block.height + 1000, 1, b"")
    times = []
    for host in hosts[: REVEALS + 1]:
        began = time.process_time()
        count_due(block.state, EPOCH, 0, host, sha256(host.encode()))
        times.append(time.process_time() - began)
    drawn = sum(duties(block.state, EPOCH, host).due for host in hosts[: REVEALS + 1])
    return {
        "answers": answers,
        "note_us": round(noted / answers * 1e6, 1),
        "first_reveal_ms": round(times[0] * 1e3, 1),
        "reveal_ms": round(sum(times[1:]) / REVEALS * 1e3, 2),
        "duties_each": round(drawn / (REVEALS + 1), 1),
    }


def answer(number: int, host: str) -> Inference:
    """A finished answer as its checkers are drawn from it."""
    inference_id = base64.b64encode(sha256(b"%d" % number) * 2).decode()
    return Inference(inference_id=inference_id, executed_by=host, model=MODEL)


if __name__ == "__main__":
    main()
