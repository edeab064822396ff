"""Compare two systems on the same set: difference, interval, p-values, and the utterances that got better or worse."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("first", type=Path, help="system A: a decode folder exp/A/decode_SET, or exp/A")
    parser.add_argument("second", type=Path, help="system B, the same way")
    parser.add_argument("--show", type=int, default=10, help="utterances to show on each side")
    parser.add_argument("--out", type=Path, help="write the report into this file instead of to the terminal")


def run(args: argparse.Namespace) -> None:
    """Compare and tell."""
    from speechlm.core.errors import UserError
    from speechlm.io.files import atomic_open
    from speechlm.report.compare import common_sets, compare, text_report

    if args.show < 0:
        raise UserError(f"--show must be 0 or more, is {args.show}")
    reports = [text_report(compare(*pair), args.show) for pair in common_sets(args.first, args.second)]
    text = "\n\n".join(reports)
    if args.out:
        with atomic_open(args.out) as file:
            file.write(text)
        print(f"see {args.out}")
    else:
        print(text, end="")
