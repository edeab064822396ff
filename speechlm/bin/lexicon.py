"""Make a pinyin lexicon and its frozen unit list from the texts of data directories (stage 2)."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--text", required=True, nargs="+", help="Kaldi text files: an id and the transcript a line")
    parser.add_argument("--out", required=True, help="folder for lexicon.txt, lexicon.json, tokens.txt, tokenizer.json")
    parser.add_argument("--language", default="zh", choices=["zh", "none"], help="normaliser of the text")
    parser.add_argument(
        "--by",
        default="char",
        choices=["char", "word"],
        help="entries: characters, or the phrases that decide a reading, too",
    )
    parser.add_argument("--units", default="syllable", choices=["syllable", "initial_final"], help="what a unit is")
    parser.add_argument("--tones", default="true", choices=["true", "false"], help="tones on the units (5 is neutral)")
    parser.add_argument("--noise_units", action="store_true", help="list the units that pinyin noise can make, too")


def run(args: argparse.Namespace) -> None:
    """Read the texts once, write the lexicon and the units, and tell how the readings were found."""
    import logging

    from speechlm.core.errors import UserError
    from speechlm.io.tables import read_table
    from speechlm.text.lexicon import build_lexicon
    from speechlm.text.pinyin_tokens import PinyinTokenizer

    texts = [text for path in args.text for text in read_table(path).values()]
    if not any(texts):
        raise UserError(f"{' '.join(args.text)}: no text in it; a lexicon needs transcripts")
    tokenizer = PinyinTokenizer.build(
        texts,
        language=args.language,
        unit=args.units,
        tones=args.tones == "true",
        noise_units=args.noise_units,
    )
    lexicon = build_lexicon(texts, language=args.language, by=args.by)
    tokenizer.save(args.out)
    lexicon.write(args.out, tokenizer.scheme)
    found = lexicon.statistics()
    log = logging.getLogger("speechlm")
    log.info(
        "%s: %d entries with %d pronunciations, %d units, from %d sentences of %d characters",
        args.out, found["entries"], found["lines"], tokenizer.size, found["sentences"], found["characters"],
    )  # fmt: skip
    log.info(
        "readings: %s; %d fallbacks (heteronyms outside known phrases, characters without a reading), %d heteronyms",
        ", ".join(f"{share:.2%} by {known}" for known, share in found["share_by"].items()),
        found["fallbacks"],
        found["num_heteronyms"],
    )
