"""Make a small randomly initialised causal LM with one token per character of a text, in Hugging Face's layout."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--text", required=True, nargs="+", help="Kaldi text files whose characters become tokens")
    parser.add_argument("--out", required=True, help="folder for config.json, model.safetensors and the tokenizer")
    parser.add_argument(
        "--architecture", default="qwen2", choices=["qwen2", "llama", "gpt_neox", "gpt2"], help="kind of transformer"
    )
    parser.add_argument("--dim", type=int, default=256, help="width")
    parser.add_argument("--layers", type=int, default=4, help="transformer layers")
    parser.add_argument("--heads", type=int, default=4, help="attention heads")
    parser.add_argument(
        "--kv_heads", type=int, default=0, help="key and value heads (qwen2, llama); 0: as many as heads"
    )
    parser.add_argument("--ffn_dim", type=int, default=0, help="width of the feed-forward layers; 0: four times --dim")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights")


def run(args: argparse.Namespace) -> None:
    """Read the texts, write the model, and tell its size."""
    import logging
    from pathlib import Path

    from transformers.utils.logging import disable_progress_bar

    from speechlm.core.errors import UserError
    from speechlm.io.tables import read_table
    from speechlm.llms.tiny import make_tiny_llm

    for name in ("dim", "layers", "heads"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name}: must be at least 1, is {getattr(args, name)}")
    disable_progress_bar()
    make_tiny_llm(
        args.out,
        [text for path in args.text for text in read_table(path).values()],
        architecture=args.architecture,
        dim=args.dim,
        layers=args.layers,
        heads=args.heads,
        kv_heads=args.kv_heads,
        ffn_dim=args.ffn_dim,
        seed=args.seed,
    )
    size = (Path(args.out) / "model.safetensors").stat().st_size
    logging.getLogger("speechlm").info(
        "%s: %s, %d layers of %d, %.1f MB", args.out, args.architecture, args.layers, args.dim, size / 1e6
    )
