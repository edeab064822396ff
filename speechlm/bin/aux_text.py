"""Make a text-only data directory: transcripts, and auxiliary text without any sentence of development and test set."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speechlm.text.auxiliary import Auxiliary
    from speechlm.text.leakage import Leakage


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--transcripts", required=True, metavar="TEXT", help="Kaldi text of the training set; all of it is kept")
    add("--held_out", required=True, nargs="+", metavar="DATA", help="data directories that must stay unseen")
    add("--sources", nargs="*", default=[], metavar="FILE", help="text files, a sentence or paragraph a line, .gz too")
    add("--out", required=True, metavar="DIR", help="data directory for text and utt2spk, and leakage.json")
    add("--times", type=float, default=0.0, help="auxiliary sentences for each transcript; 0 takes all of the sources")
    add("--ngram", type=int, default=8, help="characters in a row that may not be shared with the held-out sets")
    add("--shortest", type=int, default=5, help="characters of an auxiliary sentence at least")
    add("--longest", type=int, default=40, help="characters of an auxiliary sentence at most")


def run(args: argparse.Namespace) -> None:
    """Read the sources twice, write the directory, and tell what leaks."""
    from speechlm.io.files import atomic_dir
    from speechlm.io.tables import read_table
    from speechlm.text.auxiliary import Auxiliary
    from speechlm.text.leakage import HeldOut, Leakage
    from speechlm.text.normalize import normalize

    _check(args)
    held = HeldOut({name: read_table(f"{folder}/text").values() for name, folder in _named(args.held_out)}, n=args.ngram)
    transcripts = sorted({normalize(text, "zh") for text in read_table(args.transcripts).values()} - {""})
    own = Leakage()
    for text in transcripts:
        own.add(text, held.find(text))
    auxiliary = Auxiliary(lambda: _sentences(args), held, transcripts, round(args.times * len(transcripts)))
    with atomic_dir(args.out) as place:
        more = _write(place, chain(transcripts, auxiliary.chosen() if args.sources else ())) - len(transcripts)
        _report(args, place, own, auxiliary, {"transcripts": len(transcripts), "auxiliary": more})


def _named(folders: list[str]) -> list[tuple[str, str]]:
    """Give each directory the name it is reported by: its last part, or all of it where two end alike."""
    last = [Path(folder).name for folder in folders]
    return [(name if last.count(name) == 1 else folder, folder) for name, folder in zip(last, folders)]


def _sentences(args: argparse.Namespace) -> Iterator[str]:
    from speechlm.text.sentences import read_lines, sentences

    for path in args.sources:
        for line in read_lines(path):
            yield from sentences(line, shortest=args.shortest, longest=args.longest)


def _write(place: Path, texts: Iterable[str]) -> int:
    """Write `text` and `utt2spk`; give the number of lines."""
    count = 0
    with (
        open(place / "text", "w", encoding="utf-8") as lines,
        open(place / "utt2spk", "w", encoding="utf-8") as speakers,
    ):
        for count, sentence in enumerate(texts, start=1):
            lines.write(f"text-{count:010d} {sentence}\n")
            speakers.write(f"text-{count:010d} text\n")
    return count


def _report(args: argparse.Namespace, place: Path, own: Leakage, auxiliary: Auxiliary, counts: dict[str, int]) -> None:
    """Write `leakage.json` and tell it in the log."""
    import json
    import logging

    read = {"sources_read": auxiliary.read, "sources_different": auxiliary.different}
    asked = {"held_out": args.held_out, "ngram": args.ngram}
    found = {"leaking_transcripts": vars(own), "left_out_of_sources": vars(auxiliary.leakage)}
    text = json.dumps({**counts, **read, **asked, **found}, ensure_ascii=False, indent=2)
    (place / "leakage.json").write_text(text + "\n", encoding="utf-8")
    log = logging.getLogger("speechlm")
    log.info("%s: %d transcripts and %d auxiliary sentences", args.out, counts["transcripts"], counts["auxiliary"])
    log.info("transcripts, all kept: %s", own.line())
    if args.sources:
        log.info("auxiliary text, left out: %s", auxiliary.leakage.line())


def _check(args: argparse.Namespace) -> None:
    from speechlm.core.errors import UserError

    if args.times < 0 or (args.times and not args.sources):
        raise UserError(f"--times {args.times:g}: must be 0 or more, and needs --sources")
    if not 1 <= args.shortest <= args.longest or args.ngram < 1:
        raise UserError("--shortest must be at least 1 and at most --longest, --ngram at least 1")
