"""Write the LLM of a trained experiment in Hugging Face's layout, or its adapters in peft's, for use anywhere."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("exp", help="folder of a trained experiment with an LLM")
    parser.add_argument(
        "--llm", metavar="FOLDER", help="write config.json, model.safetensors and the tokenizer; adapters merged"
    )
    parser.add_argument("--adapter", metavar="FOLDER", help="write adapter_model.safetensors and adapter_config.json")
    parser.add_argument("--part", choices=["llm", "encoder"], default="llm", help="whose adapters --adapter writes")


def run(args: argparse.Namespace) -> None:
    """Export what was asked for; what is there already and newer than the weights is kept."""
    from speechlm.core.errors import UserError

    if not args.llm and not args.adapter:
        raise UserError("give --llm FOLDER or --adapter FOLDER")
    from speechlm.io.expdir import ExpDir

    exp = ExpDir(args.exp)
    if args.llm and _newer(Path(args.llm) / "config.json", exp.weights):
        print(f"{args.llm}: newer than {exp.weights}; nothing to do")
        return
    from speechlm.models.restore import restore
    from speechlm.nn.lora import has_adapter, merge_adapters, save_adapter

    model, values = restore(args.exp)
    if args.adapter:
        part = getattr(getattr(model, args.part, None), "model", None)
        if part is None or not has_adapter(part):
            raise UserError(
                f"{args.exp}: its {args.part} has no adapters; it was trained with adapt: {values[args.part]['adapt']}"
            )
        save_adapter(part, args.adapter)
        print(f"{args.adapter}: adapters of the {args.part}, loadable by peft over {values[args.part]['checkpoint']}")
    if args.llm:
        if not values.get("llm"):
            raise UserError(f"{args.exp}: has no LLM to export")
        if has_adapter(model.llm.model):
            merge_adapters(model.llm.model)
        _save(model.llm.model, values["llm"]["checkpoint"], Path(args.llm))


def _newer(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.stat().st_mtime >= other.stat().st_mtime


def _save(model: object, checkpoint: str, folder: Path) -> None:
    from speechlm.io.files import atomic_dir
    from speechlm.llms.tokenizer import load_llm_tokenizer

    with atomic_dir(folder) as place:
        model.save_pretrained(place)  # type: ignore[attr-defined]
        load_llm_tokenizer(checkpoint).save_pretrained(place)
    print(f"{folder}: LLM and tokenizer in Hugging Face's layout")
