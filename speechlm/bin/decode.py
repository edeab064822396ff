"""Decode data directories with a trained experiment, in jobs; or put the jobs' parts together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

TAKES_OVERRIDES = True


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "--exp", required=True, help="folder of the trained experiment; any --decode.option VALUE may follow"
    )
    parser.add_argument("--data", required=True, nargs="+", help="Kaldi data directories to decode; the model is loaded once")
    parser.add_argument("--out", required=True, nargs="+", help="a folder of hypotheses for each, as exp/NAME/decode_SET")
    parser.add_argument("--job", type=int, default=1, help="which share, 1 to num_jobs")
    parser.add_argument("--num_jobs", type=int, default=1, help="number of shares")
    parser.add_argument("--merge", type=int, metavar="N", help="put the parts of N jobs together instead of decoding")
    parser.add_argument("--tuned", metavar="YAML", help="take over the choice that `speechlm tune` wrote (best.yaml)")
    parser.add_argument(
        "--from_audio", action="store_true", help="compute features from the audio instead of reading feats.scp"
    )


def run(args: argparse.Namespace) -> None:
    """Decode one share of each directory, or merge."""
    from speechlm.core.errors import UserError
    from speechlm.decoding.aid_options import aid_hashes
    from speechlm.io.expdir import ExpDir
    from speechlm.io.hashes import content_hash
    from speechlm.options import decode_overrides

    if len(args.data) != len(args.out):
        raise UserError(f"--out: {len(args.out)} folders for {len(args.data)} data directories; give one for each")
    exp = ExpDir(args.exp)
    values = exp.read_options()
    changed = decode_overrides(values, [*_tuned(args.tuned), *args.overrides])
    header: dict[str, Any] = {"weights": content_hash(exp.weights), "options": {**values["decode"], **changed}}
    if files := aid_hashes(header["options"]):
        header["files"] = files
    if args.merge:
        for data, out in zip(args.data, args.out, strict=True):
            _merge(data, out, args.merge, values, header)
    else:
        _decode(args, exp, values, changed, header)


def _tuned(path: str | None) -> list[str]:
    """Read what `speechlm tune` chose, as options of the command line."""
    if path is None:
        return []
    import json

    from speechlm.core.config import read_config

    return [f"--decode.{name}={json.dumps(value)}" for name, value in read_config(path).values.get("decode", {}).items()]


def _merge(folder: str, out: str, jobs: int, values: dict[str, Any], header: dict[str, Any]) -> None:
    from speechlm.decoding.hot_phrases import leak_counter
    from speechlm.decoding.parts import aid_lines, merge, speed_line
    from speechlm.io.datadir import DataDir

    data = DataDir(folder)
    listed = header["options"].get("hot_words")
    count = leak_counter(listed, values["text"]["language"], data.text) if listed and data.text else None
    stats = merge(Path(out), data.ids(), jobs, header, count)
    untimed = f", {stats['untimed']} without times (ctm says why)" if stats["untimed"] else ""
    speed = speed_line(stats["real_time_factor"])
    print(f"{out}: {stats['utterances']} utterances{untimed}, {speed}; see {out}/text")
    for line in aid_lines(stats):
        print(f"{out}: {line}")


def _decode(
    args: argparse.Namespace, exp: Any, values: dict[str, Any], changed: dict[str, Any], header: dict[str, Any]
) -> None:
    import torch

    from speechlm.bin.assemble import make_dataset
    from speechlm.decoding.decode import decode_job
    from speechlm.decoding.parts import Part, part_path
    from speechlm.decoding.recognizer import load_recognizer

    if args.num_jobs > 1:
        torch.set_num_threads(1)
    datasets = [make_dataset(data, values, exp, training=False, from_audio=args.from_audio) for data in args.data]
    recognizer, _ = load_recognizer(exp.path, changed)
    for dataset, out in zip(datasets, args.out, strict=True):
        part = Part(part_path(Path(out), args.job, args.num_jobs), header)
        decode_job(recognizer, dataset, part, args.job, args.num_jobs)
