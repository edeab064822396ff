"""Compare two scored decode folders: difference with interval, p-values, and the utterances that got better or worse."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("first", type=Path, help="decode folder of system A, exp/A/decode_SET")
    parser.add_argument("second", type=Path, help="decode folder of system B, exp/B/decode_SET, of the same set")
    parser.add_argument("--show", type=int, default=10, help="utterances to show on each side")
    parser.add_argument("--out", type=Path, help="write the report into this file instead of to the terminal")


def run(args: argparse.Namespace) -> None:
    """Compare and tell."""
    from speechlm.core.errors import UserError
    from speechlm.io.files import atomic_open
    from speechlm.report.compare import compare, text_report

    if args.show < 0:
        raise UserError(f"--show must be 0 or more, is {args.show}")
    text = text_report(compare(args.first, args.second), args.show)
    if args.out:
        with atomic_open(args.out) as file:
            file.write(text)
        print(f"see {args.out}")
    else:
        print(text, end="")
