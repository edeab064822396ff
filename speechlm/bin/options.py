"""Show every option of an experiment: its value, where it came from, and its sentence."""

from __future__ import annotations

import argparse
from pathlib import Path

TAKES_OVERRIDES = True


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("config", nargs="?", help="an experiment's YAML; any --section.option VALUE may follow")
    parser.add_argument("--all", metavar="DIR", help="check every conf/*.yaml below DIR that is an experiment")
    parser.add_argument(
        "--kinds", metavar="FAMILY", help="list the kinds of a family (encoder, bridge, llm, head, loss, corpus)"
    )
    parser.add_argument("--schema", action="store_true", help="print a JSON schema of the page, for editors")


def run(args: argparse.Namespace) -> int:
    """Print the page, or check many pages."""
    from speechlm.core.errors import UserError

    if args.kinds:
        return _kinds(args.kinds)
    if args.schema:
        import json

        from speechlm.options import schema

        print(json.dumps(schema(), indent=2))
        return 0
    if args.all:
        return _check_all(Path(args.all), args.overrides)
    if not args.config:
        raise UserError("give an experiment's YAML, or --all DIR, --kinds FAMILY, --schema")
    from speechlm.options import page, read_experiment

    print(page(read_experiment(args.config, args.overrides)))
    return 0


def _kinds(family: str) -> int:
    from speechlm.core.errors import UserError
    from speechlm.core.registry import FAMILIES, kinds, nearest, signature

    if family not in FAMILIES:
        raise UserError(f"--kinds {family}: unknown family; {nearest(family, list(FAMILIES))}")
    for kind in kinds(family):
        own = signature(family, kind)
        print(f"{kind}: {own.summary}")
        for option in own.options:
            print(f"    {option.name} = {option.default!r}: {option.sentence}")
    return 0


def _check_all(folder: Path, overrides: list[str]) -> int:
    from speechlm.core.errors import UserError
    from speechlm.options import read_experiment

    faults, good = [], 0
    for path in sorted(folder.glob("**/asr1/conf/**/*.yaml")):
        if path.parent.name == "sweep":
            continue
        try:
            read_experiment(path, overrides)
            good += 1
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    print(f"{good} experiments are well-formed")
    return 0
