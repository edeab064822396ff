"""The picture of a sweep: the error against the hours of training speech, a line for each kind of system, as SVG."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from markupsafe import escape

from speechlm.io.expdir import ExpDir
from speechlm.io.files import atomic_open
from speechlm.report.compare import read_scoring
from speechlm.report.facts import read_json, training_amount
from speechlm.report.plots import COLOURS
from speechlm.report.svg import label, ticks
from speechlm.report.sweep import Line

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 168, 34, 46
STYLE = (
    "text { font: 12px sans-serif; fill: #555560 } .title { font-size: 13px } line { stroke: #9a9aa4 } "
    ".grid { stroke: #9a9aa4; stroke-opacity: 0.3 } polyline { fill: none; stroke-width: 2 }"
)


@dataclass(frozen=True)
class Spot:
    """One line of a sweep's table in the picture: hours it was trained on; mean, lowest and highest error of its seeds."""

    hours: float
    mean: float
    low: float
    high: float


def spots_of(lines: list[Line]) -> list[Spot]:
    """Read a spot from each line of the table that has a finished seed and knows its hours, by rising hours."""
    spots = []
    for line in lines:
        if not line.folders:
            continue
        exp = ExpDir(line.folders[0].parent)
        amount = training_amount(exp, read_json(exp.card))
        rates = [read_scoring(folder)["rate"] for folder in line.folders]
        if amount and amount[0] > 0 and None not in rates:
            spots.append(Spot(amount[0], statistics.fmean(rates), min(rates), max(rates)))
    return sorted(spots, key=lambda spot: spot.hours)


def write_curve(path: Path, title: str, curves: dict[str, list[Line]]) -> bool:
    """Draw the curves (name -> lines of the table, on one test set) into an SVG file; tell whether there was any spot.

    Bars show lowest and highest seed. Hours that differ more than fivefold get a logarithmic axis.
    """
    spots = {name: found for name, lines in curves.items() if (found := spots_of(lines))}
    if spots:
        with atomic_open(path) as file:
            file.write(_Frame([spot for one in spots.values() for spot in one]).draw(title, spots))
    return bool(spots)


class _Frame:
    """Maps hours and errors to the picture."""

    def __init__(self, spots: list[Spot]) -> None:
        hours = sorted({spot.hours for spot in spots})
        self.log = hours[-1] > 5 * hours[0]
        self.hours, low, high = hours, self._scale(hours[0]), self._scale(hours[-1])
        room = 0.06 * (high - low) or 1.0
        self.across = low - room, high + room
        bottom, top = min(spot.low for spot in spots), max(spot.high for spot in spots)
        room = 0.08 * (top - bottom) or 1.0
        self.up = max(0.0, bottom - room), top + room

    def _scale(self, hours: float) -> float:
        return math.log10(hours) if self.log else hours

    def x(self, hours: float) -> float:
        low, high = self.across
        return LEFT + (self._scale(hours) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, error: float) -> float:
        low, high = self.up
        return HEIGHT - BOTTOM - (error - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def draw(self, title: str, curves: dict[str, list[Spot]]) -> str:
        """Draw axes, lines and names."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'role="img" aria-label="{escape(title)}"><style>{STYLE}</style>',
            f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>',
            *self._axes(),
        ]
        for number, (name, spots) in enumerate(curves.items()):
            parts += self._curve(name, spots, number)
        return "\n".join([*parts, "</svg>\n"])

    def _axes(self) -> list[str]:
        end, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for error in ticks(*self.up):
            y = self.y(error)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label(error)}</text>')
        for hours in self.hours:
            x = self.x(hours)
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{floor}" y2="{floor + 5}"/>')
            parts.append(f'<text x="{x:.1f}" y="{floor + 18}" text-anchor="middle">{float(f"{hours:.2g}"):g}</text>')
        axis = "hours of training speech" + (" (logarithmic)" if self.log else "")
        parts.append(f'<line x1="{LEFT}" x2="{end}" y1="{floor}" y2="{floor}"/>')
        parts.append(f'<text x="{(LEFT + end) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{axis}</text>')
        return parts

    def _curve(self, name: str, spots: list[Spot], number: int) -> list[str]:
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{self.x(spot.hours):.1f},{self.y(spot.mean):.1f}" for spot in spots)
        parts = [f'<polyline points="{points}" stroke="{colour}"/>']
        for spot in spots:
            x, y = self.x(spot.hours), self.y(spot.mean)
            tip = f"{escape(name)}: {spot.mean:.2f} ({spot.low:.2f} - {spot.high:.2f}) at {spot.hours:.2f} h"
            parts.append(
                f'<g><title>{tip}</title><line x1="{x:.1f}" x2="{x:.1f}" y1="{self.y(spot.low):.1f}" '
                f'y2="{self.y(spot.high):.1f}" style="stroke: {colour}"/>'
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/></g>'
            )
        y = TOP + 10 + 20 * number
        parts.append(f'<circle cx="{WIDTH - RIGHT + 16}" cy="{y}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 26}" y="{y + 4}">{escape(name)}</text>')
        return parts
