"""Make and train a small BERT on plain text, in Hugging Face's layout: a teacher for the loss `distill`."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--text", required=True, nargs="+", help="text files in running order: a line a sentence, or Kaldi text (see --kaldi)")
    add("--held_out", required=True, nargs="+", help="text files of the same kind on which it is measured")
    add("--kaldi", action="store_true", help="the first word of each line is an id")
    add("--language", default="en", choices=["zh", "ja", "en", "none"], help="language of the normaliser")
    add("--out", required=True, help="folder for config.json, model.safetensors, the tokenizer and masked.json")
    add("--dim", type=int, default=128, help="width")
    add("--layers", type=int, default=6, help="transformer layers")
    add("--heads", type=int, default=4, help="attention heads")
    add("--ffn_dim", type=int, default=0, help="width of the feed-forward layers; 0: four times --dim")
    add("--pieces", type=int, default=2000, help="size of the WordPiece vocabulary")
    add("--steps", type=int, default=1000, help="steps of training")
    add("--batch", type=int, default=1024, help="pieces in a batch")
    add("--mask", type=float, default=0.2, help="share of the pieces that are asked for")
    add("--lr", type=float, default=1e-3, help="largest learning rate")
    add("--seed", type=int, default=1, help="seed of weights, windows and masks")


def run(args: argparse.Namespace) -> None:
    """Read the texts, train, and tell how many masked pieces of the held-out text are found."""
    import logging

    from transformers.utils.logging import disable_progress_bar

    from speechlm.llms.masked import MaskedOptions, train_masked_lm
    from speechlm.text.normalize import normalize
    from speechlm.text.sentences import read_lines

    def lines(paths: list[str]) -> list[str]:
        raw = (line.partition(" ")[2] if args.kaldi else line for path in paths for line in read_lines(path))
        return [text for text in (normalize(line, args.language) for line in raw) if text]

    disable_progress_bar()
    names = ("dim", "layers", "heads", "ffn_dim", "pieces", "steps", "batch", "mask", "lr", "seed")
    options = MaskedOptions(**{name: getattr(args, name) for name in names})
    found = train_masked_lm(args.out, lines(args.text), lines(args.held_out), options)
    logging.getLogger("speechlm").info(
        "%s: %.1f M parameters, %d pieces of text; %.1f %% of the masked pieces of the held-out text are found, loss %.2f",
        args.out, found["parameters"] / 1e6, found["train_pieces"], 100 * found["held_out_accuracy"], found["held_out_loss"],
    )  # fmt: skip
