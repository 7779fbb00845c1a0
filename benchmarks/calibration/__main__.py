"""Thresholds of checks of answers, and what they are worth: tables for docs/protocol/checking.md and validation/thresholds.py.

    python -m benchmarks.calibration --json calibration.json
    python -m benchmarks.calibration --model DIR --answers 1000

The model is one that the embedded engine runs. It is measured as it is, and flattened, since a model that is nearly always sure
leaves nothing to choose.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.calibration import engines
from benchmarks.calibration.measurements import (
    CHECKED,
    Machine,
    apart,
    caught,
    failed_share,
    frauds,
    honest_pairs,
    thresholds_from,
)
from benchmarks.calibration.questions import ROOT, WAYS
from pivot.api.validation.choice import Choosing
from pivot.api.validation.thresholds import Thresholds
from pivot.mlnode.engines.embedded.served import ServedModel

ANSWERS = 400
FRAUD_SHARE = 4
"""A fraud is measured on so many times fewer answers: it shows soon."""
ON_THRESHOLDS, ON_FALSE_ALARMS, ON_FRAUDS = 1, 2, 3
"""Seeds: what thresholds were made from says nothing about them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "tiny-chat", help="folder of the model's files")
    parser.add_argument("--answers", type=int, default=ANSWERS, help="of each honest pair and way to choose")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    figures = calibrate(options.model, options.answers)
    print(tables(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def calibrate(folder: Path, answers: int) -> dict[str, Any]:
    """All figures of a model."""
    model = engines.load(folder)
    variants = {folder.name: model, f"{folder.name}, flattened": engines.flattened(model)}
    return {"answers": answers, "models": {name: _calibrated(name, each, answers) for name, each in variants.items()}}


def _calibrated(name: str, model: ServedModel, answers: int) -> dict[str, Any]:
    print(name, file=sys.stderr)
    measured = {pair: apart(each, model, answers, ON_THRESHOLDS) for pair, each in honest_pairs(model).items()}
    thresholds = thresholds_from(list(measured.values()), Choosing())
    return {
        "pairs": {pair: asdict(found) for pair, found in measured.items()},
        "thresholds": {key: value for key, value in asdict(thresholds).items() if key != "choosing"},
        "false alarms": _false_alarms(model, answers, thresholds),
        "frauds": _frauds(model, max(1, answers // FRAUD_SHARE), thresholds),
    }


def tables(figures: dict[str, Any]) -> str:
    """The figures as markdown."""
    lines: list[str] = []
    for name, model in figures["models"].items():
        lines += [
            f"### {name}",
            "",
            "| honest pair | positions | distance: mean | variance | most | shift: mean | variance | most | gap | z |",
        ]
        lines.append("| --- |" + " --- |" * 9)
        for pair, found in model["pairs"].items():
            spreads = [found[kind][key] for kind in ("distance", "shift") for key in ("mean", "variance", "most")]
            numbers = [*spreads, found["greedy_gap"], found["excess_z"]]
            lines.append(f"| {pair} | {found['positions']} | " + " | ".join(f"{each:.2g}" for each in numbers) + " |")
        alarms = model["false alarms"]
        lines += [
            "",
            f"`{model['thresholds']}`",
            "",
            f"{alarms['failed']} of {alarms['answers']} honest answers failed.",
            "",
        ]
        lines.append(f"| fraud | {' | '.join(WAYS)} | all | caught within {CHECKED} |")
        lines.append("| --- |" + " --- |" * (len(WAYS) + 2))
        for fraud, found in model["frauds"].items():
            shares = " | ".join(f"{share:.2f}" for share in found["failed"].values())
            lines.append(f"| {fraud} | {shares} | {found['all']:.2f} | {found['caught']:.3f} |")
        lines.append("")
    return "\n".join(lines)


def _false_alarms(model: ServedModel, answers: int, thresholds: Thresholds) -> dict[str, int]:
    failed, judged = 0, 0
    for pair in honest_pairs(model).values():
        for way in WAYS:

            def told(asked: Any, executor: Machine = pair.executor) -> list[engines.Answer]:
                return engines.answer(executor, asked)

            share = failed_share(told, pair.checker, model, way, answers, ON_FALSE_ALARMS, thresholds)
            failed, judged = failed + round(share * answers), judged + answers
    return {"failed": failed, "answers": judged}


def _frauds(model: ServedModel, answers: int, thresholds: Thresholds) -> dict[str, Any]:
    found: dict[str, Any] = {}
    true, checker = Machine(model), Machine(model, engines.fp16, 4)
    for name, fraud in frauds(model).items():

        def told(asked: Any, cheats: Any = fraud) -> list[engines.Answer]:
            return list(cheats(true, asked))

        failed = {way: failed_share(told, checker, model, way, answers, ON_FRAUDS, thresholds) for way in WAYS}
        share = sum(failed.values()) / len(failed)
        found[name] = {"failed": failed, "all": share, "caught": caught(share)}
    return found


if __name__ == "__main__":
    main()
