"""Tell what an adaptation has won on the target domain and lost on the source domain, and write it to RESULTS.md."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("--before", required=True, type=Path, help="the finished experiment, exp/NAME, decoded and scored on all sets")
    add("--after", required=True, type=Path, help="the experiment that started from it, on the same sets")
    add("--source", required=True, nargs="+", help="sets of the domain it was trained on, as in decode_SET")
    add("--target", required=True, nargs="+", help="sets of the domain it was adapted to")
    add("--out", type=Path, default=Path("RESULTS.md"), help="page whose table is written; the rest of it is kept")


def run(args: argparse.Namespace) -> None:
    """Compare on both domains, print, write."""
    from speechlm.report.forgetting import COLUMNS, forgetting, write_forgetting
    from speechlm.report.results import markdown

    rows = forgetting(args.before, args.after, args.source, args.target)
    write_forgetting(args.out, rows)
    print(markdown(COLUMNS, rows), end="")
    print(f"see {args.out}")
