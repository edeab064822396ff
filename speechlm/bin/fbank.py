"""Compute filter bank features of one job's share of a data directory into an archive."""

from __future__ import annotations

import argparse
from pathlib import Path

TRUTH = {"true": True, "false": False}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of the features come from the signature of Fbank."""
    from speechlm.core.signature import read_signature

    parser.add_argument("--scp_dir", metavar="DATA", help="Kaldi data directory with wav.scp")
    parser.add_argument("--out", metavar="DIR", help="where fbank_NAME.JOB.{ark,scp,utt2num_frames,json} go")
    parser.add_argument("--show", action="store_true", help="only print the options of the features as a line of JSON")
    parser.add_argument("--name", help="NAME in the archives' names (default: the name of the data directory)")
    parser.add_argument("--list", metavar="FILE", help="take only the utterances in the first column of this file")
    parser.add_argument("--job", type=int, default=1, help="which share, from 1 (default 1)")
    parser.add_argument("--num_jobs", type=int, default=1, help="number of shares (default 1)")
    parser.add_argument("--config", metavar="YAML", help="an experiment: its section 'features' is used; options win")
    parser.add_argument("--compress", type=int, default=0, choices=[0, 1, 2, 3, 5], help="Kaldi's compression method")
    parser.add_argument("--max_skip_share", type=float, default=0.05, help="fail when more is bad (default 0.05)")
    for flag, default, text in (
        ("--write_utt2num_frames", "true", "write the number of frames of each utterance (default true)"),
        ("--allow_pipes", "false", "run the commands that stand in wav.scp"),
        ("--allow_upsample", "false", "accept audio of a lower rate than the features'"),
    ):
        parser.add_argument(flag, nargs="?", const="true", default=default, choices=list(TRUTH), help=text)
    group = parser.add_argument_group("features")
    for option in read_signature("speechlm.features.fbank:Fbank").options:
        kind = {"choices": list(TRUTH)} if option.annotation is bool else {"type": option.annotation}
        if option.annotation not in (bool, int, float):
            kind = {}
        group.add_argument(f"--{option.name}", help=f"{option.sentence} (default {option.default})", **kind)


def run(args: argparse.Namespace) -> None:
    """Compute, write, and tell what was skipped; what the features are goes into a .json beside them."""
    from speechlm.core.errors import UserError
    from speechlm.features.extract import Job, extract, features_of
    from speechlm.features.record import record_line
    from speechlm.io.files import atomic_open

    given = {option: value for option, value in vars(args).items() if value is not None}
    fbank = features_of(args.config, {name: TRUTH.get(value, value) for name, value in given.items()})
    if args.show:
        print(record_line(fbank), end="")
        return
    if not args.scp_dir or not args.out:
        raise UserError("give --scp_dir and --out (only --show does without)")
    name = args.name or Path(args.scp_dir).resolve().name
    stem = f"{args.out}/fbank_{name}.{args.job}"
    extract(
        fbank,
        Job(args.scp_dir, args.list, args.job, args.num_jobs),
        ark=f"{stem}.ark",
        scp=f"{stem}.scp",
        frames=f"{stem}.utt2num_frames" if TRUTH[args.write_utt2num_frames] else None,
        compress=args.compress,
        max_skip_share=args.max_skip_share,
        allow_pipes=TRUTH[args.allow_pipes],
        allow_upsample=TRUTH[args.allow_upsample],
    )
    with atomic_open(f"{stem}.json") as file:
        file.write(record_line(fbank))
