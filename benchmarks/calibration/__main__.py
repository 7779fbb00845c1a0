"""Thresholds of checks of answers, and what they are worth: tables for docs/protocol/checking.md and validation/thresholds.py.

    python -m benchmarks.calibration --json calibration.json
    python -m benchmarks.calibration --model DIR --answers 40 --variants plain --arithmetic bf16

The model is one that the embedded engine runs. It is measured as it is, and flattened, since a model that is nearly always sure
leaves nothing to choose.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.calibration import engines
from benchmarks.calibration.engines import Machine, answer
from benchmarks.calibration.frauds import Fraud, frauds
from benchmarks.calibration.histories import CHECKED, caught, highest_suspicion
from benchmarks.calibration.measurements import (
    BF16,
    FP16,
    Arithmetic,
    Judged,
    Pair,
    apart,
    failed_share,
    honest_pairs,
    judged,
    thresholds_from,
)
from benchmarks.calibration.questions import ROOT, WAYS, questions
from pivot.api.validation.choice import Choosing
from pivot.api.validation.thresholds import Thresholds
from pivot.mlnode.engines.embedded.served import ServedModel

ANSWERS = 400
FRAUD_SHARE = 4
"""A fraud is measured on so many times fewer answers: it shows soon."""
COSTLY_SHARE = 4
"""And one that takes long on so many times fewer again."""
ON_THRESHOLDS, ON_FALSE_ALARMS, ON_FRAUDS = 1, 2, 3
"""Seeds: what thresholds were made from says nothing about them."""
SEVERAL = 5
"""Checkers among whom a host's answers are shared out."""
RULE_OF_THREE = 3.0
"""Divided by the answers of which none failed: the largest share of failures that is likely at all, at 95 %."""
ARITHMETICS: Mapping[str, Arithmetic] = {"fp16": FP16, "bf16": BF16}
SPREADS = ("distance: mean", "variance", "most", "shift: mean", "variance", "most")
VARIANTS = ("plain", "flattened")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "tiny-chat", help="folder of the model's files")
    parser.add_argument("--answers", type=int, default=ANSWERS, help="of each honest pair and way to choose")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=VARIANTS, help="the model as it is, flattened"
    )
    parser.add_argument("--arithmetic", choices=ARITHMETICS, default="fp16", help="of the network's machines")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    figures = calibrate(options.model, options.answers, options.variants, ARITHMETICS[options.arithmetic])
    print(tables(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def calibrate(folder: Path, answers: int, variants: Sequence[str], arithmetic: Arithmetic) -> dict[str, Any]:
    """All figures of a model."""
    model = engines.load(folder)
    made = {"plain": (folder.name, model), "flattened": (f"{folder.name}, flattened", engines.flattened(model))}
    named = [made[variant] for variant in variants]
    return {"answers": answers, "models": {name: _calibrated(name, each, answers, arithmetic) for name, each in named}}


def _calibrated(name: str, model: ServedModel, answers: int, arithmetic: Arithmetic) -> dict[str, Any]:
    _note(name)
    pairs = honest_pairs(model, arithmetic)
    measured = {pair: apart(each, model, max(1, answers // FRAUD_SHARE), ON_THRESHOLDS) for pair, each in pairs.items()}
    thresholds = thresholds_from(list(measured.values()), Choosing())
    _note(f"  {thresholds}")
    return {
        "pairs": {pair: asdict(found) for pair, found in measured.items()},
        "thresholds": {key: value for key, value in asdict(thresholds).items() if key != "choosing"},
        "false alarms": {pair: _false_alarms(model, each, answers, thresholds) for pair, each in pairs.items()},
        "frauds": _frauds(model, answers, thresholds, arithmetic),
    }


def tables(figures: dict[str, Any]) -> str:
    """The figures as markdown."""
    lines: list[str] = []
    for name, model in figures["models"].items():
        lines += [
            f"### {name}",
            "",
        ]
        heads = ("honest pair", "positions", *SPREADS, "gap", "failed", "of", "highest odds")
        lines += [f"| {' | '.join(heads)} |", "| --- |" + " --- |" * (len(heads) - 1)]
        for pair, found in model["pairs"].items():
            spreads = [found[kind][key] for kind in ("distance", "shift") for key in ("mean", "variance", "most")]
            numbers = " | ".join(f"{each:.2g}" for each in [*spreads, found["greedy_gap"]])
            alarms = model["false alarms"][pair]
            lines.append(
                f"| {pair} | {found['positions']} | {numbers} | {alarms['failed']} | {alarms['answers']} "
                f"| {alarms['suspicion']:.2f} |"
            )
        alarms = list(model["false alarms"].values())
        failed, asked = (sum(each[key] for each in alarms) for key in ("failed", "answers"))
        bound = f", so at most {RULE_OF_THREE / asked:.1e} do, with 95 % confidence" if not failed else ""
        lines += ["", f"`{model['thresholds']}`", "", f"{failed} of {asked} honest answers failed{bound}.", ""]
        lines.append(
            f"| fraud | {' | '.join(WAYS)} | all | caught within {CHECKED}, one checker | {SEVERAL} checkers |"
        )
        lines.append("| --- |" + " --- |" * (len(WAYS) + 3))
        for fraud, found in model["frauds"].items():
            shares = " | ".join(f"{found['failed'][way]:.2f}" if way in found["failed"] else "" for way in WAYS)
            lines.append(
                f"| {fraud} | {shares} | {found['all']:.2f} | {found['caught']:.3f} | {found['caught by several']:.3f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _false_alarms(model: ServedModel, pair: Pair, answers: int, thresholds: Thresholds) -> dict[str, float]:
    found: list[Judged] = []
    for way in WAYS:
        asked = questions(model, way, answers, ON_FALSE_ALARMS)
        found += judged(answer(pair.executor, asked), pair.checker, way, thresholds)
    alarms = {"failed": sum(each.failed for each in found), "answers": len(found)}
    return alarms | {"suspicion": highest_suspicion(found)}


def _frauds(model: ServedModel, answers: int, thresholds: Thresholds, arithmetic: Arithmetic) -> dict[str, Any]:
    true, checker = Machine(model, arithmetic.served), Machine(model, arithmetic.other, 4)
    found: dict[str, Any] = {}
    for name, fraud in frauds(true, thresholds).items():
        each = {way: _cheated(fraud, model, checker, way, answers, thresholds) for way in fraud.ways}
        everything = [one for those in each.values() for one in those]
        found[name] = {
            "failed": {way: failed_share(those) for way, those in each.items()},
            "all": failed_share(everything),
            "caught": caught(everything),
            "caught by several": caught(everything, SEVERAL),
        }
        _note(f"  {name}: {found[name]}")
    return found


def _cheated(
    fraud: Fraud, model: ServedModel, checker: Machine, way: str, answers: int, thresholds: Thresholds
) -> list[Judged]:
    count = max(1, answers // FRAUD_SHARE // (COSTLY_SHARE if fraud.costly else 1))
    return judged(fraud.answers(questions(model, way, count, ON_FRAUDS)), checker, way, thresholds)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
