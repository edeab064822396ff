"""Convert a checkpoint that is published as pytorch_model.bin into safetensors, the only format that is loaded here."""

from __future__ import annotations

import argparse
from pathlib import Path

WANTED = ["*.json", "*.txt", "*.model", "*.jinja", "pytorch_model*.bin", "LICENSE*", "README.md"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("checkpoint", help="folder with config.json and pytorch_model*.bin, or a Hugging Face hub name")
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder; give it as 'checkpoint:' afterwards")
    parser.add_argument("--max_shard_gib", type=float, default=5.0, help="larger weights are split (default 5 GiB)")


def run(args: argparse.Namespace) -> None:
    """Convert; nothing of the checkpoint is executed."""
    from speechlm.core.errors import UserError
    from speechlm.io.pickled import convert

    if args.max_shard_gib <= 0:
        raise UserError(f"--max_shard_gib: must be above 0, is {args.max_shard_gib}")
    names = convert(_folder(args.checkpoint), Path(args.out), max_shard_bytes=int(args.max_shard_gib * (1 << 30)))
    print(f"{args.out}: {', '.join(names)}; use it as 'checkpoint: {args.out}'")


def _folder(checkpoint: str) -> Path:
    """Give the checkpoint's folder; of a hub name the local copy, fetched first where there is none."""
    from speechlm.core.errors import UserError

    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    if checkpoint.startswith((".", "/", "~")) or checkpoint.count("/") > 1:
        raise UserError(f"{checkpoint}: no such folder; give one that exists or a Hugging Face hub name")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(checkpoint, allow_patterns=WANTED))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{checkpoint}: no such folder, and cannot be had from the hub ({reason})") from None
