"""Write RESULTS.md from scored experiments, or gather the best of all recipes into egs/README.md."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("experiments", nargs="*", type=Path, help="folders exp/NAME, or exp for all of them")
    add("--out", type=Path, default=Path("RESULTS.md"), help="page to write; what stands outside its marks is kept")
    add("--command", help="how the experiments were made, for those without command.txt")
    add("--fresh", action="store_true", help="drop rows of experiments that are not given now")
    add("--collect", type=Path, metavar="EGS", help="write EGS/README.md from the recipes' RESULTS.md")


def run(args: argparse.Namespace) -> None:
    """Write one of the two pages."""
    from speechlm.core.errors import UserError
    from speechlm.report.collect import collect
    from speechlm.report.results import decode_folders, write_results

    if args.collect:
        if args.experiments:
            raise UserError("--collect reads the recipes' RESULTS.md; give no experiments with it")
        print(f"{args.collect}/README.md: {collect(args.collect)} rows")
        return
    if not args.experiments:
        raise UserError("name the experiments, as in: speechlm results exp/conformer_ctc exp/speech_llm")
    folders = decode_folders(args.experiments)
    if not folders:
        raise UserError(f"{args.experiments[0]}: no scored decode folder here; run stages 5 and 6 first")
    rows = write_results(args.out, folders, command=args.command, keep=not args.fresh)
    print(f"{args.out}: {rows} rows, {len(folders)} of them written now")
