"""A sweep's file as it is written: its rows and what may stand in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from speechlm.core.config import Config, read_config
from speechlm.core.errors import UserError
from speechlm.core.registry import nearest

NAME = re.compile(r"^[A-Za-z0-9_]+$")
OTHER = re.compile(r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_]+$")


class RowSpec(BaseModel):
    """One line of the table (one for each member of its grid): an experiment of its own, or (of) another sweep's."""

    model_config = ConfigDict(extra="forbid")
    conf: str = ""
    of: str = ""
    title: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] | None = None
    seeds: list[int] | None = Field(default=None, min_length=1)
    sets: list[str] | None = None
    export: bool = False


class SweepSpec(BaseModel):
    """A sweep as written; `speechlm sweep --help` tells what each name means."""

    model_config = ConfigDict(extra="forbid")
    title: str = ""
    rows: dict[str, RowSpec] = Field(min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    seeds: list[int] = Field(default=[1], min_length=1)
    sets: list[str] = Field(min_length=1)
    decode: dict[str, Any] = Field(default_factory=dict)
    reference: str | None = None
    curve: dict[str, list[str]] = Field(default_factory=dict)


def read_sweep(path: Path) -> SweepSpec:
    """Read a sweep's file; raise one UserError that tells all faults with file and line."""
    config = read_config(path)
    try:
        spec = SweepSpec(**{str(key): value for key, value in config.values.items()})
    except ValidationError as error:
        raise UserError("\n".join(_fault(config, problem) for problem in error.errors())) from None
    sets = {"sets": spec.sets, **{f"rows.{name}.sets": row.sets or [] for name, row in spec.rows.items()}}
    faults = [f"{place}: must lie in one folder, as in [data/dev, data/test]" for place, own in sets.items() if not _alike(own)]
    faults += [f"rows.{name}: a row's name is made of letters, digits and _" for name in spec.rows if not NAME.match(name)]
    faults += [f"rows.{name}: {fault}" for name, row in spec.rows.items() if (fault := _row_fault(row))]
    if "seed" in spec.rows:
        faults.append("rows.seed: {seed} is the seed; choose another name")
    if spec.reference is not None and spec.reference not in spec.rows:
        faults.append(f"reference: no row '{spec.reference}'; {nearest(spec.reference, list(spec.rows))}")
    drawn = [(name, row) for name, rows in spec.curve.items() for row in rows if row not in spec.rows]
    faults += [f"curve.{name}: no row '{row}'; {nearest(row, list(spec.rows))}" for name, row in drawn]
    if faults:
        raise UserError("\n".join(f"{config.place(text.split(':')[0])}: {text}" for text in faults))
    return spec


def _row_fault(row: RowSpec) -> str:
    """Say what is wrong in how a row names its experiment, "" if nothing."""
    if bool(row.conf) == bool(row.of):
        return "must have either conf: (conf/NAME.yaml) or of: (SWEEP.ROW, a row of another sweep)"
    if row.of and not OTHER.match(row.of):
        return f"of: must be SWEEP.ROW, as in pinyin.none, is {row.of}"
    if row.of and (row.options or row.grid is not None or row.sets is not None or row.export):
        return "of: takes a title and seeds; all else is as the other sweep has it"
    return ""


def _alike(sets: list[str]) -> bool:
    return len({str(Path(data).parent) for data in sets}) <= 1


def _fault(config: Config, problem: Any) -> str:
    where = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "extra_forbidden":
        model = RowSpec if problem["loc"][0] == "rows" else SweepSpec
        text = f"unknown name; {nearest(str(problem['loc'][-1]), list(model.model_fields))}"
    else:
        text = "must be given" if problem["type"] == "missing" else problem["msg"][0].lower() + problem["msg"][1:]
    return f"{config.place(where)}: {where}: {text}"
