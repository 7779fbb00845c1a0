"""The page on operations lists every figure and every setting that can change, and no other."""

import re
from pathlib import Path

from pivot.api.metrics.figures import FIGURES
from pivot.api.metrics.sources import CHECKS, DUTIES, NODE_STATES, POC_CHECK
from pivot.api.reloading import CHANGEABLE
from tests.docs.pages import table

PAGE = re.sub(r"```.*?```", "", (Path(__file__).parents[2] / "docs/operations.md").read_text(), flags=re.DOTALL)
NONE = "–"


def test_every_figure_is_described_as_it_describes_itself() -> None:
    listed = [tuple(row) for row in table(PAGE, "figure")]
    told = [
        (
            f"`{figure.full_name}`",
            figure.kind.value,
            ", ".join(f"`{label}`" for label in figure.labels) or NONE,
            figure.says,
        )
        for figure in FIGURES
    ]
    assert listed == told


def test_states_of_ml_nodes_and_changeable_settings_are_named() -> None:
    named = set(re.findall(r"`([^`]+)`", PAGE))
    assert set(NODE_STATES) <= named
    assert {*DUTIES, POC_CHECK, *CHECKS.values()} <= named
    [sentence] = re.findall(r"SIGHUP changes ([^.]+(?:\.[a-z][^.]*)*)\. One line", PAGE)
    assert set(re.findall(r"`([^`]+)`", sentence)) == CHANGEABLE
