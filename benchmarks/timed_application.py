"""The chain application as a node runs it, with a clock around each of its answers: `benchmarks/network.py` starts it.

When it ends it writes how often the engine asked it what, and the CPU seconds that its one thread spent on it.

    python benchmarks/timed_application.py --home DIR --socket PATH --report FILE
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pivot.chain import run
from pivot.chain.application import Application
from pivot.chain.server import connections, dispatch
from pivot.chain.server.state_sync import StateSync

spent: dict[str, list[float]] = {}
"""By kind of request: how many, CPU seconds."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--home", type=Path, required=True, help="folder of the state")
    arguments.add_argument("--socket", type=Path, required=True, help="unix socket that the engine connects to")
    arguments.add_argument("--report", type=Path, required=True, help="where to write the times")
    options = arguments.parse_args()
    connections.answers = timed_answers
    began = time.process_time()
    code = run.run(options.home, options.socket)
    report = {"cpu_s": time.process_time() - began, "answers": spent}
    options.report.write_text(json.dumps(report))
    return code


def timed_answers(application: Application, state_sync: StateSync) -> Mapping[str, dispatch.Answer]:
    """The application's answers, each with a clock around it."""
    return {kind: timed(kind, answer) for kind, answer in dispatch.answers(application, state_sync).items()}


def timed(kind: str, answer: dispatch.Answer) -> dispatch.Answer:
    """The same answer; what it takes is added to `spent`."""
    times = spent.setdefault(kind, [0, 0.0])

    def measured(request: Any) -> Any:
        began = time.thread_time()
        answered = answer(request)
        times[0] += 1
        times[1] += time.thread_time() - began
        return answered

    return measured


if __name__ == "__main__":
    sys.exit(main())
