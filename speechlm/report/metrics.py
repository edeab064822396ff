"""Read metrics.jsonl and sort its numbers into curves: what the PNG of a training and the HTML page draw."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POINTS = 600
"""Points of a curve that are drawn: a screen shows no more."""


@dataclass
class Curve:
    """One line of a chart: steps and values."""

    name: str
    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def thinned(self, points: int = POINTS) -> Curve:
        """Average neighbours until no more than `points` are left; first and last step stay."""
        size = math.ceil(len(self.steps) / points)
        if size <= 1:
            return self
        groups = [slice(start, start + size) for start in range(0, len(self.steps), size)]
        steps = [self.steps[group][-1] for group in groups]
        values = [sum(part := self.values[group]) / len(part) for group in groups]
        return Curve(self.name, [self.steps[0], *steps], [self.values[0], *values])


@dataclass
class Chart:
    """Curves over training steps that share an axis. log: the axis is logarithmic."""

    title: str
    curves: list[Curve]
    log: bool = False


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a metrics.jsonl; a last row cut off in the middle of writing is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int | float):
            rows.append(row)
    return rows


def charts_of(rows: list[dict[str, Any]]) -> list[Chart]:
    """Sort rows into charts: loss, error of validation, learning rate, gradient norm, speed; empty ones are left out.

    Rows have a `kind` (train, valid, final); rows without one are of training, their `valid_*` names of validation.
    """
    curves: dict[tuple[str, str], Curve] = {}
    for row in rows:
        kind = row.get("kind", "train")
        if kind == "final":
            continue
        for name, value in row.items():
            if name in ("step", "kind") or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            where, what = ("valid", name[6:]) if name.startswith("valid_") else (kind, name)
            if math.isfinite(value):
                curve = curves.setdefault((where, what), Curve(what))
                curve.steps.append(row["step"])
                curve.values.append(value)
    return [chart for chart in map(_chart, _groups(curves)) if chart.curves]


def _groups(curves: dict[tuple[str, str], Curve]) -> list[tuple[str, list[tuple[str, Curve]], bool]]:
    """Choose the curves of each chart and name them for its legend."""
    train = {what: curve for (where, what), curve in curves.items() if where == "train"}
    valid = {what: curve for (where, what), curve in curves.items() if where == "valid"}
    losses = [("loss", train.get("loss")), ("validation loss", valid.get("loss"))]
    parts = [(what.removeprefix("loss_"), curve) for what, curve in train.items() if what.startswith("loss_")]
    if len(parts) > 1:
        losses += parts
    errors = [(what, curve) for what, curve in valid.items() if what != "loss" and not what.startswith("loss_")]
    speed = train.get("audio_per_second")
    groups = [
        ("loss", losses, False),
        (f"validation {errors[0][0]}" if len(errors) == 1 else "validation", errors, False),
        ("learning rate", [("learning rate", train.get("lr"))], False),
        ("gradient norm", [("gradient norm", train.get("gradient_norm"))], True),
        ("seconds of audio per second", [("audio/s", speed)], False),
    ]
    return [(title, [(name, curve) for name, curve in members if curve], log) for title, members, log in groups]


def _chart(group: tuple[str, list[tuple[str, Curve]], bool]) -> Chart:
    title, members, log = group
    curves = [Curve(name, curve.steps, curve.values).thinned() for name, curve in members]
    return Chart(title, curves, log and all(value > 0 for curve in curves for value in curve.values))
