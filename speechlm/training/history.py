"""Validation results so far: which step was best, and whether it still gets better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from speechlm.core.errors import UserError


@dataclass
class History:
    """Validation results in the order of the steps.

    metric: the name that decides. larger_is_better: its sense. rows: [{"step": …, name: value …}].
    """

    metric: str
    larger_is_better: bool
    rows: list[dict[str, Any]]

    def add(self, step: int, metrics: dict[str, float]) -> bool:
        """Add a result; say whether it is the best so far.

        Raises: UserError when the deciding metric is not among the results.
        """
        if self.metric not in metrics:
            raise UserError(f"train.metric '{self.metric}' is not validated; there are: {', '.join(sorted(metrics))}")
        self.rows = [row for row in self.rows if row["step"] < step]
        self.rows.append({"step": step, **metrics})
        return self.best(1) == [step]

    def best(self, count: int) -> list[int]:
        """Give the steps of the best results, best first; the earlier one of two equal ones."""
        return [row["step"] for row in sorted(self.rows, key=self._loss)[:count]]

    def waiting(self) -> int:
        """Count the validations since the best one."""
        if not self.rows:
            return 0
        return sum(row["step"] > self.best(1)[0] for row in self.rows)

    def better(self, value: float, than: float) -> bool:
        """Compare two values of the metric."""
        return value > than if self.larger_is_better else value < than

    def value(self, step: int) -> float:
        """Give the metric at a step."""
        return next(float(row[self.metric]) for row in self.rows if row["step"] == step)

    def _loss(self, row: dict[str, Any]) -> float:
        value = float(row[self.metric])
        if not math.isfinite(value):
            return math.inf
        return -value if self.larger_is_better else value
