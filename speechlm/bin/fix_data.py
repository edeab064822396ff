"""Mend a Kaldi data directory: sort, cut down to what all tables have, and say what was dropped."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", metavar="DATA", nargs="+", help="data directories; the old files go to DATA/.backup")
    parser.add_argument(
        "--allow_empty_text", nargs="?", const="true", default="false", choices=["true", "false"],
        help="keep utterances without a transcript (default false)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Mend, and print one line for each change."""
    from speechlm.io.datadir import DataDir, fix

    for data in args.data:
        notes = fix(data, allow_empty_text=args.allow_empty_text == "true")
        for note in notes:
            print(note)
        left = len(DataDir(data).utt2spk or {})
        if notes:
            print(f"{data}: {left} utterances left; the old files are in {data}/.backup")
        else:
            print(f"{data}: nothing to mend, {left} utterances")
