"""Write utt2dur, the duration of each utterance: from segments where they are, else from the audio's headers."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", metavar="DATA", nargs="+", help="data directories")
    parser.add_argument(
        "--allow_pipes", nargs="?", const="true", default="false", choices=["true", "false"],
        help="run the commands that stand in wav.scp (default false)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Measure every utterance of every directory."""
    import logging

    from speechlm.core.log import clock, progress
    from speechlm.io.datadir import DataDir
    from speechlm.io.tables import write_table

    for path in args.data:
        data = DataDir(path)
        ids = data.ids()
        allow = args.allow_pipes == "true"
        found = {utt: data.measure(utt, allow) for utt in progress(ids, total=len(ids), what=f"durations of {path}")}
        write_table(f"{path}/utt2dur", {utt: f"{seconds:.4f}" for utt, seconds in found.items()})
        total = clock(sum(found.values()))
        logging.getLogger("speechlm").info("%s/utt2dur: %d utterances, %s", path, len(found), total)
