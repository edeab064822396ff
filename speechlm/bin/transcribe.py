"""Recognise audio files with a trained experiment and print their texts."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

TAKES_OVERRIDES = True


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("exp", help="folder of a trained experiment; any --decode.option VALUE may follow")
    parser.add_argument("files", nargs="+", help="audio files (wav, flac, mp3, ogg, NIST sphere …)")
    parser.add_argument("--channel", type=int, help="channel of audio with several, from 0")


def run(args: argparse.Namespace) -> None:
    """Print 'file<TAB>text' for every file, or the bare text of a single one."""
    from speechlm.bin.assemble import make_dataset
    from speechlm.core.errors import UserError
    from speechlm.data.collate import collate
    from speechlm.decoding.decode import batches_of
    from speechlm.decoding.recognizer import load_recognizer
    from speechlm.io.audio import duration
    from speechlm.io.expdir import ExpDir
    from speechlm.io.tables import write_table
    from speechlm.options import decode_overrides

    exp = ExpDir(args.exp)
    values = exp.read_options()
    missing = [name for name in args.files if not Path(name).exists()]
    if missing:
        raise UserError(f"{missing[0]}: no such audio file")
    ids = [f"{index:06d}" for index in range(len(args.files))]
    places = dict(zip(ids, (str(Path(name).resolve()) for name in args.files), strict=True))
    seconds = {utt: duration(place) for utt, place in places.items()}
    recognizer, _ = load_recognizer(args.exp, decode_overrides(values, args.overrides))
    texts: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        channel = "" if args.channel is None else f" {args.channel}"
        write_table(Path(folder) / "wav.scp", places)
        write_table(Path(folder) / "utt2spk", dict(zip(ids, ids, strict=True)))
        write_table(Path(folder) / "utt2dur", {utt: f"{length:.3f}" for utt, length in seconds.items()})
        if channel:
            write_table(Path(folder) / "segments", {utt: f"{utt} 0 {seconds[utt]:.3f}{channel}" for utt in ids})
        dataset = make_dataset(folder, values, exp, training=False, from_audio=True)
        order = sorted(range(len(dataset)), key=lambda index: -dataset.sizes[index])
        for batch in batches_of(order, dataset.sizes.tolist(), recognizer.decode["batch_seconds"]):
            results = recognizer.recognize(collate([dataset.read(index, 0) for index in batch]))
            texts.update(
                (dataset.ids[index], nbest[0].text if nbest else "")
                for index, nbest in zip(batch, results, strict=True)
            )
    for utt, name in zip(ids, args.files, strict=True):
        print(texts[utt] if len(args.files) == 1 else f"{name}\t{texts[utt]}")
