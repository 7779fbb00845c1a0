"""Charts as SVG, by hand: lines, ranges and marks on linear or logarithmic axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 58, 50
ROW = 17
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e")
TICKS = 5


@dataclass(frozen=True)
class Axis:
    """From where to where, and how."""

    title: str
    low: float
    high: float
    logarithmic: bool = False
    at: Sequence[float] = ()
    """Where ticks stand, if told."""

    def place(self, value: float) -> float:
        """Between 0 and 1; what is outside stands at the edge."""
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))

    def ticks(self) -> list[float]:
        """Those told, else powers of ten, or some equal steps."""
        if self.at:
            return list(self.at)
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0**power for power in range(first, last + 1)]
        return [self.low + (self.high - self.low) * i / TICKS for i in range(TICKS + 1)]


@dataclass(frozen=True)
class Line:
    """Points joined in order."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Range:
    """A row with a bar from the least to the most, and a mark in the middle."""

    name: str
    least: float
    middle: float
    most: float
    colour: str = COLOURS[0]


@dataclass(frozen=True)
class Mark:
    """A line across the chart at a value, with its name."""

    name: str
    value: float


@dataclass
class _Picture:
    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, anchor: str = "start", colour: str = "#333") -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dash: str = "") -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{dashed}/>'
        )

    def svg(self) -> str:
        style = '<style>text{font:12px sans-serif}</style><rect width="100%" height="100%" fill="white"/>'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}">'
        return "\n".join((head, style, *self.parts, "</svg>", ""))


def line_chart(title: str, x: Axis, y: Axis, lines: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    """Lines over x; marks lie at values of y."""
    picture = _Picture(WIDTH, HEIGHT)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    picture.text(10, 22, title)
    for tick in y.ticks():
        at = TOP + height * (1 - y.place(tick))
        picture.line(LEFT, at, LEFT + width, at, "#ddd")
        picture.text(LEFT - 6, at + 4, _number(tick), "end")
    _x_axis(picture, x, LEFT, width, TOP + height)
    picture.text(10, TOP - 14, y.title)
    for mark in marks:
        at = TOP + height * (1 - y.place(mark.value))
        picture.line(LEFT, at, LEFT + width, at, "#555", dash="6 3")
        picture.text(LEFT + width - 4, at - 4, mark.name, "end", "#555")
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        places = [(LEFT + width * x.place(a), TOP + height * (1 - y.place(b))) for a, b in line.points]
        joined = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        picture.parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        picture.text(LEFT + 12, TOP + 16 + ROW * number, line.name, colour=colour)
    return picture.svg()


def range_chart(title: str, x: Axis, rows: Sequence[Range], marks: Sequence[Mark], names: int = 310) -> str:
    """One row each; two marks lie at values of x. `names`: the width of the names."""
    height = ROW * len(rows)
    picture = _Picture(WIDTH + names - LEFT, height + TOP + BOTTOM)
    width = WIDTH - LEFT - RIGHT
    picture.text(10, 22, title)
    _x_axis(picture, x, names, width, TOP + height)
    for mark, side in zip(marks, ("end", "start"), strict=True):
        at = names + width * x.place(mark.value)
        picture.line(at, TOP, at, TOP + height, "#555", dash="6 3")
        picture.text(at, TOP - 4, f" {mark.name} ", side, "#555")
    for number, row in enumerate(rows):
        at = TOP + ROW * (number + 0.5)
        picture.text(names - 8, at + 4, row.name, "end")
        picture.line(names + width * x.place(row.least), at, names + width * x.place(row.most), at, row.colour, 5)
        middle = names + width * x.place(row.middle)
        picture.line(middle, at - 6, middle, at + 6, "#000", 2)
    return picture.svg()


def _x_axis(picture: _Picture, x: Axis, left: float, width: float, bottom: float) -> None:
    for tick in x.ticks():
        at = left + width * x.place(tick)
        picture.line(at, TOP, at, bottom, "#eee")
        picture.text(at, bottom + 16, _number(tick), "middle")
    picture.text(left + width / 2, bottom + 36, x.title, "middle")


def _number(value: float) -> str:
    return f"{value:g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.0e}"
