"""Recognise audio files, folders or a stream with a trained experiment: text, JSON or subtitles.

  speechlm transcribe exp/NAME a.wav b.flac            'file<TAB>text' a line; of a single file the bare text
  speechlm transcribe exp/NAME recordings --format srt --out subtitles
  sox in.mp3 -t wav - | speechlm transcribe exp/NAME - --format json

Recordings of any length are cut in their quietest places into segments that cover them without gap or overlap. Inputs
that cannot be read are counted and named; the exit status is 1 only if all of them are such.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from speechlm.core.errors import UserError

TAKES_OVERRIDES = True
LOGGER = logging.getLogger(__name__)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line; files may stand anywhere, so `run` takes them out of what is left."""
    parser.usage = f"{parser.prog} EXP [FILE | FOLDER | -] ... [options] [--decode.OPTION VALUE ...]"
    add = parser.add_argument
    add("exp", metavar="EXP", help="folder of a trained experiment; behind it audio files (wav, flac, mp3, ogg, NIST "
        "sphere …), folders (searched to the bottom), or - for a sound file on stdin")  # fmt: skip
    add("--list", metavar="FILE", help="file of paths, one a line, or - to read them from stdin")
    add("--format", choices=["txt", "json", "srt", "vtt"], default="txt",
        help="json: segments with start, end, text, score, and words with times where a CTC head was trained "
        "(default txt)")  # fmt: skip
    add("--out", metavar="DIR", type=Path, help="write one file for each input there; default standard output")
    add("--max_seconds", type=float, default=30.0, help="longest segment; longer audio is cut (default 30)")
    add("--channel", type=int, help="channel of audio with several, from 0")


def run(args: argparse.Namespace) -> int:
    """Print or write what is said in every input."""
    from speechlm.features.vad import Splitter
    from speechlm.io.expdir import ExpDir
    from speechlm.io.inputs import find_inputs, output_paths
    from speechlm.options import decode_overrides

    words, overrides = files_and_overrides(args.overrides)
    exp = ExpDir(args.exp)
    values = exp.read_options()
    Splitter(16000, args.max_seconds)  # refuses a wrong --max_seconds before the model is loaded
    changed = decode_overrides(values, overrides)
    inputs = find_inputs(words, args.list)
    paths = output_paths(inputs, args.out, f".{args.format}") if args.out else None
    if args.format in ("srt", "vtt") and len(inputs) > 1 and not paths:
        raise UserError(f"--format {args.format}: {len(inputs)} inputs do not fit into one output; add --out DIR")

    from speechlm.bin.listen import Listener

    listener = Listener(exp, values, changed, times=args.format != "txt")
    failed: list[str] = []
    for index, found in listener.transcripts(inputs, args.max_seconds, args.channel):
        if isinstance(found, str):
            failed.append(found)
            if len(inputs) > 1:
                LOGGER.warning("%s", found)
        elif paths:
            _write(paths[index], found.write(args.format, indent=2))
            LOGGER.info("%s -> %s", inputs[index].name, paths[index])
        elif args.format == "txt" and len(inputs) > 1:
            print(f"{inputs[index].name}\t{found.text}", flush=True)
        else:
            print(found.write(args.format), end="", flush=True)
    return _result(failed, len(inputs))


def files_and_overrides(rest: list[str]) -> tuple[list[str], list[str]]:
    """Part what argparse left: words of the command line that name inputs, and options with their values."""
    files: list[str] = []
    overrides: list[str] = []
    left = iter(rest)
    for word in left:
        if not word.startswith("-") or word == "-":
            files.append(word)
        elif "=" in word:
            overrides.append(word)
        else:
            overrides += [word, *([value] if (value := next(left, None)) is not None else [])]
    return files, overrides


def _write(path: Path, text: str) -> None:
    from speechlm.io.files import atomic_open

    with atomic_open(path) as file:
        file.write(text)


def _result(failed: list[str], total: int) -> int:
    """Tell how many inputs failed; a single one is an error of the command."""
    if failed and total == 1:
        raise UserError(failed[0])
    if len(failed) == total:
        raise UserError(f"none of {total} inputs could be read; the lines above say why")
    if failed:
        LOGGER.warning("%d of %d inputs could not be read; the lines above name them", len(failed), total)
    return 0
