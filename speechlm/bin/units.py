"""Write a Kaldi text file as the units of a token list, parted by blanks: the reference of a unit error rate."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--tokens", required=True, help="folder of the token list")
    parser.add_argument("--text", required=True, help="Kaldi text file")
    parser.add_argument("--out", required=True, help="Kaldi text file of units")


def run(args: argparse.Namespace) -> None:
    """Translate, and say how many units the list does not have."""
    from speechlm.io.tables import read_table, write_table
    from speechlm.text.normalize import normalize
    from speechlm.text.tokens import load_tokenizer

    tokenizer = load_tokenizer(args.tokens)
    rows = {
        utt: tokenizer.split(normalize(text, tokenizer.language))
        for utt, text in read_table(args.text, values=False).items()
    }
    unknown = sum(unit not in tokenizer.ids for units in rows.values() for unit in units)
    write_table(args.out, {utt: " ".join(units) for utt, units in rows.items()})
    print(f"{args.out}: {len(rows)} lines, {sum(map(len, rows.values()))} units, {unknown} of them not in the list")
