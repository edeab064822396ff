"""Find or make a corpus, write its Kaldi data directories and validate them (stage 0)."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, those of the corpora included."""
    from speechlm.core.registry import kinds
    from speechlm.corpora.options import add_options

    parser.add_argument("corpus", choices=sorted(kinds("corpus")), help="which corpus")
    parser.add_argument("--corpus_dir", help="folder of the corpus; mini and talks write their audio there (default DATA/wav)")
    parser.add_argument("--data", default="data", help="where the data directories go")
    parser.add_argument("--download", action="store_true", help="load what is missing from the publisher (archives)")
    parser.add_argument("--splits", nargs="+", help="splits to prepare; default: those of the corpus")
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write DATA/<split> for every split, then validate; 1 if a directory is not valid."""
    import logging
    from pathlib import Path

    from speechlm.core.errors import UserError
    from speechlm.core.log import clock
    from speechlm.core.registry import load
    from speechlm.corpora.base import prepare
    from speechlm.corpora.options import given_options
    from speechlm.io.datadir import validate

    log = logging.getLogger("speechlm")
    data = Path(args.data)
    if args.corpus_dir is None and not load("corpus", args.corpus).makes_audio:
        raise UserError(f"--corpus_dir: where is the corpus? It comes from {load('corpus', args.corpus).url}")
    folder = Path(args.corpus_dir) if args.corpus_dir else data / "wav"
    corpus = load("corpus", args.corpus)(folder, **given_options(args))
    if args.download:
        corpus.fetch()
    splits = args.splits or list(corpus.splits)
    for split, found in prepare(corpus, splits, data).items():
        dropped = "".join(f", {count} {reason}" for reason, count in found.items() if reason.startswith("dropped"))
        log.info(
            "%s: %d utterances, %d speakers, %s%s",
            data / split, found["utterances"], found["speakers"], clock(found["seconds"]), dropped,
        )  # fmt: skip
    faults = [fault for split in splits for fault in validate(data / split, allow_empty_text=corpus.empty_text)]
    for fault in faults:
        log.error("%s", fault)
    return 1 if faults else 0
