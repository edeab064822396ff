"""Train an experiment; started again it goes on where it was, and a finished one is left alone."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

TAKES_OVERRIDES = True


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--config", required=True, help="the experiment's YAML; any --section.option VALUE may follow")
    parser.add_argument("--out", required=True, help="folder of the experiment, exp/NAME")


def run(args: argparse.Namespace) -> int:
    """Check the options, then train."""
    from speechlm.io.expdir import ExpDir
    from speechlm.options import dump, read_experiment

    experiment = read_experiment(args.config, args.overrides)
    exp = ExpDir(args.out)
    if exp.weights.exists() and exp.options.exists() and _stored(exp) == dump(experiment):
        print(f"{exp.path}: finished before with the same options; nothing to do (remove the folder to train again)")
        return 0
    return _train(exp, experiment)


def _stored(exp: Any) -> str:
    """Give the options that an experiment was trained with; options that are newer than it have their defaults."""
    from speechlm.core.errors import UserError
    from speechlm.options import dump, read_experiment

    try:
        return dump(read_experiment(exp.options))
    except UserError:  # an option that no longer exists: what is there is another training
        return exp.options.read_text(encoding="utf-8")


def _train(exp: Any, experiment: Any) -> int:
    from speechlm.bin.assemble import furnish
    from speechlm.bin.trainer import make_trainer
    from speechlm.options import dump, page
    from speechlm.training.distributed import choose_device, main_rank, process_group, wait_for_all
    from speechlm.training.signals import REQUEUE_EXIT

    values = experiment.values
    with process_group(choose_device(values["train"]["device"])):
        if main_rank():
            _refuse_other_options(exp, dump(experiment))
            furnish(exp, values)
            exp.page.write_text(page(experiment) + "\n", encoding="utf-8")
            exp.options.write_text(dump(experiment), encoding="utf-8")
            exp.command.write_text(f"speechlm {shlex.join(sys.argv[1:])}\n", encoding="utf-8")
        wait_for_all()
        result = make_trainer(exp, values).run()
    if not result.finished:
        return REQUEUE_EXIT
    found = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    print(f"{exp.path}: trained {result.step} steps; {found or 'no validation set'}; see {exp.weights} and {exp.plots}")
    return 0


def _refuse_other_options(exp: Any, wanted: str) -> None:
    """A folder with checkpoints of other options is not gone on from by mistake; only the number of steps may grow."""
    import yaml

    from speechlm.core.errors import UserError

    if not exp.options.exists() or not (Path(exp.path) / "checkpoints").exists():
        return
    before, now = yaml.safe_load(_stored(exp)), yaml.safe_load(wanted)
    for free in (
        ("optim", "steps"),
        ("train", "device"),
        ("train", "threads"),
        ("data", "workers"),
        ("data", "keep_in_memory"),
    ):
        before[free[0]].pop(free[1], None)
        now[free[0]].pop(free[1], None)
    changed = [name for name in now if before.get(name) != now[name] and name not in ("decode", "score")]
    if changed:
        raise UserError(
            f"{exp.path}: was trained with other options in {', '.join(changed)}; choose another folder or remove it"
        )
