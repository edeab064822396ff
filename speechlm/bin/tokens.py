"""Make a token list (characters, words, subwords, phones or pinyin) from the texts of a data directory."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--kind", required=True, choices=["char", "word", "bpe", "phone", "pinyin"], help="what a unit is"
    )
    parser.add_argument("--text", required=True, nargs="+", help="Kaldi text files: an id and the transcript a line")
    parser.add_argument("--out", required=True, help="folder for tokens.txt and tokenizer.json")
    parser.add_argument("--language", default="none", choices=["zh", "ja", "en", "none"], help="normaliser of the text")
    parser.add_argument("--size", type=int, default=0, help="units at most; 0 keeps all (bpe needs it)")
    parser.add_argument("--min_count", type=int, default=1, help="leave out rarer units (char and word)")
    parser.add_argument("--model_type", default="bpe", choices=["bpe", "unigram"], help="sentencepiece model (bpe)")
    parser.add_argument("--coverage", type=float, default=1.0, help="share of characters that get a unit (bpe)")
    parser.add_argument("--lexicon", help="pronunciations, `word phone phone …` a line, Kaldi's or cmudict's (phone)")
    parser.add_argument("--stress", default="false", choices=["true", "false"], help="keep the stress marks (phone)")
    parser.add_argument("--units", default="syllable", choices=["syllable", "initial_final"], help="units of pinyin")
    parser.add_argument("--tones", default="true", choices=["true", "false"], help="tones on the pinyin units")
    parser.add_argument("--noise_units", action="store_true", help="list the units that pinyin noise can make, too")


def run(args: argparse.Namespace) -> None:
    """Build the tokenizer, save it, and tell how well it covers its own text."""
    import logging

    from speechlm.core.errors import UserError
    from speechlm.io.tables import read_table
    from speechlm.text.tokens import UNK_ID, tokenizer_class

    texts = [text for path in args.text for text in read_table(path).values()]
    if not any(texts):
        raise UserError(f"{' '.join(args.text)}: no text in it; a token list needs transcripts")
    if args.kind == "bpe":
        if args.size < 3:
            raise UserError("--size: subword units need a number of units, for instance --size 500")
        options = {"size": args.size, "model_type": args.model_type, "coverage": args.coverage}
    elif args.kind == "phone":
        if not args.lexicon:
            raise UserError("--lexicon: phones need a pronunciation lexicon, `word phone phone …` a line")
        options = {"lexicon": args.lexicon, "stress": args.stress == "true"}
    elif args.kind == "pinyin":
        options = {"unit": args.units, "tones": args.tones == "true", "noise_units": args.noise_units}
    else:
        options = {"min_count": args.min_count, "max_size": args.size}
    tokenizer = tokenizer_class(args.kind).build(texts, language=args.language, **options)
    tokenizer.save(args.out)
    ids = [i for text in texts for i in tokenizer.encode(text)]
    logging.getLogger("speechlm").info(
        "%s: %d %s units from %d lines; %.2f units a line, %.3f %% unknown",
        args.out,
        tokenizer.size,
        args.kind,
        len(texts),
        len(ids) / len(texts),
        100 * ids.count(UNK_ID) / max(len(ids), 1),
    )
