"""Write one self-contained HTML page about an experiment: curves, error rates, alignments with audio."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("exp", type=Path, help="folder of the experiment, exp/NAME")
    add("--out", type=Path, help="the page; default exp/NAME/report.html")
    add("--data", type=Path, help="folder of the data directories, data; default: where the references lay")
    add("--audio", type=int, default=20, help="utterances of each set that get audio and spectrogram, the worst ones")
    add("--utterances", type=int, default=10_000, help="utterances of each set in the page, the worst ones")
    add("--allow_pipes", action="store_true", help="accept shell pipes in wav.scp")


def run(args: argparse.Namespace) -> None:
    """Write the page and tell its size."""
    from speechlm.core.errors import UserError
    from speechlm.report.page import write_page
    from speechlm.report.utterances import Choice

    for name in ("audio", "utterances"):
        if getattr(args, name) < 0:
            raise UserError(f"--{name} must be 0 or more, is {getattr(args, name)}")
    choice = Choice(utterances=args.utterances, audio=args.audio, allow_pipes=args.allow_pipes)
    page = write_page(args.exp, args.out or args.exp / "report.html", data=args.data, choice=choice)
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB, open it in a browser")
