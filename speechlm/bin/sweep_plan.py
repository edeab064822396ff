"""The points of a sweep: which experiments its file names, with which options, in which order they can run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speechlm.bin.sweep_spec import SweepSpec, read_sweep
from speechlm.core.errors import UserError
from speechlm.core.registry import nearest
from speechlm.options import dump, read_experiment, yaml_line

SLOT = re.compile(r"\{([A-Za-z0-9_]+)\}")
BRACED = ("text.prompt", "text.hot_template", "decode.lm_prompt")
"""The options whose braces are their own."""


@dataclass(frozen=True)
class Point:
    """One training with its decodings: a row, a choice from the grid, a seed.

    choice: option -> value, those of the grid. needs: names of the points whose folders its options name. digest: what
    a finished point must have been made with. unit, language: how it is scored.
    """

    row: str
    choice: dict[str, Any]
    seed: int
    name: str
    folder: Path
    conf: str
    overrides: list[str]
    sets: list[str]
    needs: tuple[str, ...]
    export: bool
    digest: str
    unit: str
    language: str

    @property
    def line(self) -> tuple[str, tuple[str, ...]]:
        """What the seeds of one line of the table have in common."""
        return self.row, tuple(yaml_line(value) for value in self.choice.values())


@dataclass(frozen=True)
class Plan:
    """A sweep in its recipe: the points in an order in which they can run."""

    name: str
    path: Path
    spec: SweepSpec
    points: list[Point]

    @property
    def folder(self) -> Path:
        """Where the points lie, relative to the recipe."""
        return Path("exp") / self.name

    def waves(self) -> list[list[Point]]:
        """Group the points: those of one wave need only earlier ones."""
        depth: dict[str, int] = {}
        for point in self.points:
            depth[point.name] = 1 + max((depth[name] for name in point.needs), default=-1)
        return [[p for p in self.points if depth[p.name] == level] for level in range(max(depth.values()) + 1)]


def make_plan(
    path: Path, recipe: Path, overrides: list[str], rows: Iterable[str] = (), seeds: Iterable[int] = ()
) -> Plan:
    """Make every point of a sweep and check its options; nothing is run.

    overrides: of the command line, for every row. rows, seeds: only these, and what they need; empty takes all. Paths
    are relative to the recipe, which must be the working directory.

    Raises UserError that tells the faults of all points, each once.
    """
    spec = read_sweep(path)
    if seeds:
        own = {name: [s for s in row.seeds or spec.seeds if s in seeds] for name, row in spec.rows.items()}
        changed = {n: row.model_copy(update={"seeds": own[n] or row.seeds or spec.seeds}) for n, row in spec.rows.items()}
        spec = spec.model_copy(update={"rows": changed})
    maker = _Maker(path, recipe, spec, overrides)
    for name in rows:
        if name not in spec.rows:
            raise UserError(f"--rows {name}: no such row in {path}; {nearest(name, list(spec.rows))}")
    points = maker.make(list(rows) or list(spec.rows))
    if maker.faults:
        raise UserError("\n".join(dict.fromkeys(maker.faults)))
    return Plan(path.stem, path, spec, points)


class _Maker:
    """Turns a sweep's rows into points, those that are needed by others first."""

    def __init__(self, path: Path, recipe: Path, spec: SweepSpec, overrides: list[str]) -> None:
        self.path, self.recipe, self.spec, self.overrides = path, recipe, spec, overrides
        self.faults: list[str] = []
        self.made: dict[str, Point] = {}
        self.open: list[str] = []

    def make(self, rows: list[str]) -> list[Point]:
        for row in rows:
            for choice in self.choices(row):
                for seed in self.seeds(row):
                    self.point(row, choice, seed)
        return list(self.made.values())

    def seeds(self, row: str) -> list[int]:
        return self.spec.rows[row].seeds or self.spec.seeds

    def choices(self, row: str) -> list[dict[str, Any]]:
        own = self.spec.rows[row].grid
        grid = {} if self.spec.rows[row].of else self.spec.grid if own is None else own
        return [dict(zip(grid, values)) for values in itertools.product(*grid.values())]

    def point(self, row: str, choice: dict[str, Any], seed: int) -> Point:
        name = point_name(row, choice, seed)
        if name in self.made and self.made[name].choice == choice:
            return self.made[name]
        if name in self.made or name in self.open:
            why = "needs itself" if name in self.open else "is the name of two members of the grid"
            raise UserError(f"{self.path}: {name} {why}; change rows.{row}")
        spec = self.spec.rows[row]
        if spec.of:
            self.made[name] = self.borrowed(name, spec.of, row, seed)
            return self.made[name]
        self.open.append(name)
        needs: list[str] = []
        given = {**self.spec.options, **spec.options, **choice}
        filled = {option: self.fill(option, value, row, choice, seed, needs) for option, value in given.items()}
        filled |= {f"decode.{option}": value for option, value in self.spec.decode.items()} | {"train.seed": seed}
        words = [*(f"--{option}={yaml_line(value)}" for option, value in filled.items()), *self.overrides]
        sets = self.spec.sets if spec.sets is None else spec.sets
        text, unit, language = self.checked(row, words)
        folder = Path("exp") / self.path.stem / name
        made = Point(
            row, choice, seed, name, folder, f"conf/{spec.conf}.yaml", words, sets,
            tuple(dict.fromkeys(needs)), spec.export, f"{text}\nsets: {sets}\nexport: {spec.export}\n", unit, language,
        )  # fmt: skip
        self.open.remove(name)
        self.made[name] = made
        return made

    def borrowed(self, name: str, of: str, row: str, seed: int) -> Point:
        """Take over a point of another sweep, and those that it needs; they lie where that sweep has them.

        A row that only trains there does so here. Raises UserError where that sweep has no such row, has it from another,
        has more than one line of it, not that seed, or other sets.
        """
        sweep, _, other = of.partition(".")
        place = f"{self.path}: rows.{row}.of"
        path = self.path.with_name(f"{sweep}.yaml")
        if sweep == self.path.stem or not path.exists():
            raise UserError(f"{place}: no other sweep {path}")
        theirs = read_sweep(path).rows
        if other not in theirs:
            raise UserError(f"{place}: {other}: no such row in {path}; {nearest(other, list(theirs))}")
        if theirs[other].of:  # two sweeps that name each other's rows would never end
            raise UserError(f"{place}: {of} is {theirs[other].of}; name that one")
        points = make_plan(path, self.recipe, self.overrides, [other]).points
        found = [point for point in points if point.row == other and point.seed == seed]
        if len(found) != 1:
            raise UserError(f"{place}: {of} has {len(found)} points of seed {seed}; one must be it")
        sets = self.spec.sets if found[0].sets else []
        if missing := [data for data in sets if data not in found[0].sets]:
            raise UserError(f"{place}: {of} is not tested on {', '.join(missing)}")
        left, needed = [found[0]], {}
        while left:
            point = left.pop()
            needed[point.name] = point
            left += [one for one in points if one.name in point.needs and one.name not in needed]
        here = {point.folder: point.name for point in self.made.values()}  # what two rows need is run once
        called = {old: here.get(point.folder, f"{sweep}/{old}") for old, point in needed.items()}
        needs = {old: tuple(called[one] for one in point.needs) for old, point in needed.items()}
        mine = replace(needed.pop(found[0].name), row=row, name=name, sets=list(sets))
        mine = replace(mine, needs=needs[found[0].name] + ((here[mine.folder],) if mine.folder in here else ()))
        for old, point in reversed(needed.items()):
            if point.folder not in here:
                self.made[called[old]] = replace(point, name=called[old], needs=needs[old], sets=[])
        return mine

    def checked(self, row: str, words: list[str]) -> tuple[str, str, str]:
        try:
            experiment = read_experiment(self.recipe / "conf" / f"{self.spec.rows[row].conf}.yaml", words)
        except UserError as error:
            self.faults += [f"{self.path}: rows.{row}: {line}" for line in str(error).splitlines()]
            return "", "word", "none"
        values = experiment.values
        return dump(experiment), values["score"]["unit"], values["text"]["language"]

    def fill(self, option: str, value: Any, row: str, choice: dict[str, Any], seed: int, needs: list[str]) -> Any:
        """Put the seed for {seed}, and for {ROW} the folder of that row's point of the same choice and seed."""
        if isinstance(value, list):
            return [self.fill(option, one, row, choice, seed, needs) for one in value]
        if not isinstance(value, str) or option in BRACED:
            return value
        if value == "{seed}":
            return seed

        def put(slot: re.Match[str]) -> str:
            if slot[1] == "seed":
                return str(seed)
            if slot[1] not in self.spec.rows:
                known = nearest(slot[1], ["seed", *self.spec.rows])
                raise UserError(f"{self.path}: rows.{row}: {option}: {{{slot[1]}}} is no row; {known}")
            needed = self.point(slot[1], self.same_choice(slot[1], choice), self.same_seed(slot[1], seed))
            needs.append(needed.name)
            return str(needed.folder)

        return SLOT.sub(put, value)

    def same_choice(self, row: str, choice: dict[str, Any]) -> dict[str, Any]:
        fits = [c for c in self.choices(row) if all(choice.get(option, value) == value for option, value in c.items())]
        if len(fits) != 1:
            raise UserError(f"{self.path}: {{{row}}}: {len(fits)} of its points fit {choice or 'a row without grid'}; one must")
        return fits[0]

    def same_seed(self, row: str, seed: int) -> int:
        seeds = self.seeds(row)
        if seed not in seeds and len(seeds) > 1:
            raise UserError(f"{self.path}: {{{row}}}: has seeds {seeds}, but not {seed}; give it that, or one for all")
        return seed if seed in seeds else seeds[0]


def point_name(row: str, choice: dict[str, Any], seed: int) -> str:
    """Name a point's folder, as in plm_frozen-layer_slice=0-3-seed1."""
    parts = [f"{option.split('.')[-1]}={re.sub(r'[^A-Za-z0-9._-]+', '_', str(value)).strip('_')}" for option, value in choice.items()]
    return "-".join([row, *parts, f"seed{seed}"])
