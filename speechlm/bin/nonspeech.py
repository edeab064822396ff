"""Make data directories of sound without words, with empty transcripts, to train and test against insertions."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("--noise_scp", nargs="+", default=[], type=Path, metavar="SCP", help="tables id -> path, relative to the table")
    add("--musan", type=Path, metavar="DIR", help="MUSAN's folder; its noise and music are taken")
    add("--esc50", type=Path, metavar="DIR", help="ESC-50's folder")
    add("--out", default="data/nonspeech", type=Path, help="data directory to train on (default data/nonspeech)")
    add("--test_out", type=Path, help="data directory to test on, of other recordings; default: OUT_test")
    add("--test_share", type=float, default=0.2, help="share of the recordings held out to test on (0.2); 0 for none")
    add("--hours", type=float, default=0.0, help="hours of --out; 0 (default) takes all there is")
    add("--seconds", default="1-20", metavar="LOW-HIGH", help="shortest and longest piece (default 1-20)")
    add("--seed", type=int, default=1, help="seed of lengths, choice and held out recordings")


def run(args: argparse.Namespace) -> int:
    """Write both directories and validate them; 1 if one is not valid."""
    import logging

    from speechlm.core.errors import UserError
    from speechlm.core.log import clock
    from speechlm.corpora.base import write_data_dir
    from speechlm.corpora.nonspeech import pieces, sounds_of_esc50, sounds_of_musan, sounds_of_table, split_sounds
    from speechlm.io.datadir import validate

    sounds = [sound for table in args.noise_scp for sound in sounds_of_table(table)]
    sounds += sounds_of_musan(args.musan) if args.musan else []
    sounds += sounds_of_esc50(args.esc50) if args.esc50 else []
    if not sounds:
        raise UserError("give sounds: --noise_scp SCP, --musan DIR or --esc50 DIR")
    train, test = split_sounds(sounds, args.test_share, args.seed)
    test_out = args.test_out or args.out.with_name(f"{args.out.name}_test")
    faults = 0
    for members, out, hours in ((train, args.out, args.hours), (test, test_out, 0.0)):
        if not members:
            continue
        cuts = pieces(members, _seconds(args.seconds), hours, args.seed)
        found = write_data_dir(cuts, out)
        logging.getLogger("speechlm").info(
            "%s: %d pieces of %d recordings, %s", out, found["utterances"], found["speakers"], clock(found["seconds"])
        )
        for fault in validate(out, allow_empty_text=True):
            logging.getLogger("speechlm").error("%s", fault)
            faults += 1
    return 1 if faults else 0


def _seconds(text: str) -> tuple[float, float]:
    """Read "1-20"."""
    from speechlm.core.errors import UserError

    low, mark, high = text.partition("-")
    try:
        return float(low), float(high if mark else low)
    except ValueError:
        raise UserError(f"--seconds: must be LOW-HIGH as in 1-20, is '{text}'") from None
