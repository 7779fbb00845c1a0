"""The script, from end to end, on a tiny model."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.poc_science.__main__ import main
from benchmarks.poc_science.plots import Axis

FOLDER = Path(__file__).parents[3] / "docs/protocol/poc"


def test_the_script_makes_every_table_and_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written, drawn = tmp_path / "poc.json", tmp_path / "plots"
    arguments = ["poc_science", "--quick", "--device", "numpy", "--json", str(written), "--plots", str(drawn)]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    figures = json.loads(written.read_text())
    assert {"honest", "frauds", "layers", "shares", "tail", "sample"} <= set(figures)
    assert "| fp8 weights |" in capsys.readouterr().out
    names = {path.name for path in drawn.iterdir()}
    assert names <= {path.name for path in FOLDER.iterdir()}
    for path in drawn.iterdir():
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    axis = Axis("x", 1, 1e4, logarithmic=True)
    assert axis.ticks() == [1, 10, 100, 1_000, 10_000]
    assert [axis.place(value) for value in (0, 1, 100, 1e4, 1e9)] == pytest.approx([0, 0, 0.5, 1, 1])


def test_a_linear_axis_has_equal_steps() -> None:
    axis = Axis("x", 0, 10)
    assert axis.ticks() == [0, 2, 4, 6, 8, 10]
    assert axis.place(5) == 0.5
