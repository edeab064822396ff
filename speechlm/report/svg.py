"""Charts as inline SVG, coloured by the page's own style, so that they follow light and dark."""

from __future__ import annotations

import math

from markupsafe import Markup, escape

from speechlm.report.metrics import Chart, Curve

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 20, 10, 28


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Choose round numbers within an interval."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [step * number for number in range(first, math.floor(high / step + 1e-9) + 1)]


def label(value: float) -> str:
    """Write a number shortly: 12k, 0.25, 3e-04."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e4:
        return f"{value / 1000:g}k" if size < 1e6 else f"{value / 1e6:g}M"
    if size < 1e-3:
        mantissa, _, power = f"{value:.1e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value:.4g}"


class _Frame:
    """Maps steps and values to points of the picture."""

    def __init__(self, chart: Chart) -> None:
        self.log = chart.log
        steps = [step for curve in chart.curves for step in curve.steps]
        values = [self.scale(value) for curve in chart.curves for value in curve.values]
        self.steps = (min(steps), max(steps))
        low, high = min(values), max(values)
        room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        self.values = (low - room if low < 0 or self.log or low - room > 0 else 0.0, high + room)

    def scale(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def x(self, step: float) -> float:
        low, high = self.steps
        return LEFT + (step - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.values
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def value_ticks(self) -> list[float]:
        if self.log:
            whole = [float(power) for power in range(math.ceil(self.values[0]), math.floor(self.values[1]) + 1)]
            if len(whole) > 1:
                return whole
        return ticks(*self.values)


def draw(chart: Chart) -> Markup:
    """Draw a chart: grid, axes, a line for each curve, its last value in the tool tip."""
    frame = _Frame(chart)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">']
    for value in frame.value_ticks():
        y = frame.y(value)
        text = label(10**value if chart.log else value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for step in ticks(*frame.steps):
        parts.append(f'<text x="{frame.x(step):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{label(step)}</text>')
    parts += [_line(frame, curve, number) for number, curve in enumerate(chart.curves)]
    return Markup("".join(parts) + "</svg>")


def _line(frame: _Frame, curve: Curve, number: int) -> str:
    places = [(frame.x(step), frame.y(frame.scale(value))) for step, value in zip(curve.steps, curve.values)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    title = f"{escape(curve.name)}: {label(curve.values[-1])} at step {label(curve.steps[-1])}"
    made = f'<g class="curve curve{number % 6}"><title>{title}</title><polyline points="{points}"/>'
    if len(places) < 30:
        made += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in places)
    return made + "</g>"
