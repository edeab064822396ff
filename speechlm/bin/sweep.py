"""Run a table of experiments (rows, options, seeds) and write it into RESULTS.md; started again it goes on.

A sweep's file, in conf/sweep/ of a recipe:

  title: what the table shows
  rows:                              # lines of the table; a name, and
    scratch: {conf: conformer_ctc}   #   conf: conf/NAME.yaml
    over: {conf: plm_on_encoder_frozen, title: over the Conformer,
           options: {encoder.init_seed: "{seed}", train.start_from: ["{scratch}"]}}
    longer: {of: plm_over_long.conv} #   a row of another sweep, here again for comparison; trained once for both
  options: {optim.steps: 1000}       # for all rows
  grid: {encoder.dropout: [0.1, 0.5]}  # every combination is a line of its own; a row may have its own grid, or {}
  seeds: [1, 2, 3]                   # train.seed; mean and spread of a line are taken over them; a row may have its own
  sets: [data/dev, data/test]        # decoded and scored; a row with sets: [] only trains
  decode: {beam: 4}                  # options of the decoding
  reference: scratch                 # the row with which the others are compared
  curve: {pinyin: [small, large]}    # a picture beside RESULTS.md: errors of rows against their hours of training speech

In an option's value {seed} is the seed and {ROW} the folder of that row's point of the same seed and choice: such a row
is run first. A row with export: true leaves its LLM in {ROW}/llm. Points lie in exp/SWEEP/ROW-CHOICE-seedN.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError

TAKES_OVERRIDES = True


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("sweep", type=Path, help="RECIPE/conf/sweep/NAME.yaml; any --section.option VALUE may follow, for all rows")
    add("--cmd", default="", help='run the points as an array job: run.pl, "slurm.pl --config conf/slurm.conf", queue.pl')
    add("--nj", type=int, default=1, help="points at the same time, with --cmd")
    add("--ngpu", type=int, default=0, help="GPUs of a point")
    add("--decode_nj", type=int, default=1, help="jobs of a decoding")
    add("--rows", nargs="+", default=[], help="run only these rows, and what they need; the table shows all")
    add("--seeds", nargs="+", type=int, default=[], help="run only these seeds")
    add("--results", type=Path, default=Path("RESULTS.md"), help="page of the table; what stands outside its marks is kept")
    add("--list", action="store_true", help="only tell the points and how they stand")
    add("--table", action="store_true", help="run nothing, write the table of what is finished")
    add("--points", type=Path, help=argparse.SUPPRESS)  # a task of the array job: names of the points, and
    add("--job", type=int, help=argparse.SUPPRESS)  # which line


def run(args: argparse.Namespace) -> int:
    """Run what is left, write the table; 1 if a point has failed."""
    from speechlm.bin.sweep_plan import make_plan
    from speechlm.bin.sweep_run import Means, run_all, run_point, state_of, stopped_like_ctrl_c, told

    path, recipe = args.sweep.resolve(), args.sweep.resolve().parents[2]
    if not (recipe / "steps").exists():
        raise UserError(f"{args.sweep}: a sweep lies in conf/sweep/ of a recipe; {recipe} has no steps")
    if any(word.startswith("--train.seed") for word in args.overrides):
        raise UserError("--train.seed: the seeds stand in the sweep's file; choose some of them by --seeds")
    os.chdir(recipe)
    path = path.relative_to(recipe)
    plan = make_plan(path, recipe, args.overrides, args.rows, args.seeds)
    means = Means(args.cmd, args.nj, args.ngpu, args.decode_nj)
    if args.points:
        name = args.points.read_text(encoding="utf-8").split()[args.job - 1]
        with stopped_like_ctrl_c():
            return int(run_point({point.name: point for point in plan.points}[name], means).name != "finished")
    if args.list or args.table:
        states = {point.name: state_of(point) for point in plan.points}
    else:
        with stopped_like_ctrl_c():
            states = run_all(plan, means, _again(args, path))
    left = {name: told(state) for name, state in states.items() if state.name != "finished"}
    if args.list:
        for point in plan.points:
            print(f"{point.name}: {left.get(point.name, 'finished')}")
        return 0
    whole = make_plan(path, recipe, args.overrides) if args.rows or args.seeds else plan
    states = {point.name: states.get(point.name) or state_of(point) for point in whole.points}
    _write(args, whole, states, {name: told(state) for name, state in states.items() if state.name != "finished"})
    for name, text in left.items():
        print(f"{name}: {text}", file=sys.stderr)
    return int(bool(left) and not args.table)


def _again(args: argparse.Namespace, path: Path) -> list[str]:
    """Give the arguments that make the same plan in a task of the array job."""
    chosen = ["--rows", *args.rows] if args.rows else []
    chosen += ["--seeds", *map(str, args.seeds)] if args.seeds else []
    return [str(path), *chosen, *_means(args), *args.overrides]


def _means(args: argparse.Namespace) -> list[str]:
    return ["--ngpu", str(args.ngpu), "--decode_nj", str(args.decode_nj)]


def _write(args: argparse.Namespace, plan: Any, states: dict[str, Any], left: dict[str, str]) -> None:
    from speechlm.bin.sweep_run import decode_folders
    from speechlm.report.sweep import Line, write_table

    lines: dict[tuple[str, str], Line] = {}
    rows: dict[str, list[Line]] = {}
    for point in plan.points:
        for data, folder in zip(point.sets, decode_folders(point), strict=True):
            spec = plan.spec.rows[point.row]
            choice = dict(zip(point.choice, point.line[1], strict=True))
            if (str(point.line), data) not in lines:
                is_reference = point.row == plan.spec.reference
                made = Line(spec.title or point.row, choice, Path(data).name, point.conf, is_reference=is_reference)
                lines[str(point.line), data] = made
                rows.setdefault(point.row, []).append(made)
            line = lines[str(point.line), data]
            line.wanted.append(point.seed)
            if states[point.name].name == "finished":
                line.folders.append(folder)
    command = shlex.join(["speechlm", "sweep", str(plan.path), *_means(args), *args.overrides])
    pictures = _draw(args.results.parent, plan, rows)
    written = write_table(args.results, plan.name, plan.spec.title, list(lines.values()), command, left, pictures)
    print(f"{args.results}: {written} lines of {plan.path}")


def _draw(folder: Path, plan: Any, rows: dict[str, list[Any]]) -> list[str]:
    """Draw the sweep's curves, NAME_SET.svg for each test set; give the names of the pictures."""
    from speechlm.report.curve import write_curve

    pictures = []
    for name in dict.fromkeys(Path(data).name for data in plan.spec.sets):
        curves = {
            label: [line for row in members for line in rows.get(row, []) if line.set == name]
            for label, members in plan.spec.curve.items()
        }
        picture = f"{plan.name}_{name}.svg"
        if write_curve(folder / picture, f"error % on {name}", curves):
            pictures.append(picture)
    return pictures
