"""Try decoding options on a development set, write the table and the choice; decode --tuned takes it over."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

TAKES_OVERRIDES = True


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("exp", help="folder of a trained experiment; any --decode.option VALUE that stays fixed may follow")
    add("--data", nargs="+", required=True, help="data directories to choose on, together; never a test set")
    add("--grid", nargs="+", required=True, metavar="OPTION=VALUES", help="as in beam=1,4 length_penalty=0,0.5,1")
    add("--out", help="folder of the table and the choice; default exp/NAME/tune_SET, SET the first of --data")
    add("--insertions", type=float, default=1.0, help="what an insertion costs beside a substitution or deletion")
    add("--results", type=Path, help="RESULTS.md that the table is put into")
    add("--from_audio", action="store_true", help="compute features from the audio instead of reading feats.scp")


def run(args: argparse.Namespace) -> None:
    """Decode once for every point of the grid and choose the lowest cost; the first of equals."""
    from speechlm.bin.assemble import make_dataset
    from speechlm.decoding.recognizer import load_recognizer
    from speechlm.io.expdir import ExpDir
    from speechlm.options import decode_overrides

    exp = ExpDir(args.exp)
    values = exp.read_options()
    fixed = decode_overrides(values, args.overrides)
    axes = [axis.partition("=")[0] for axis in args.grid]
    points = [{**fixed, **decode_overrides(values, [*args.overrides, *point])} for point in grid_points(args.grid)]
    sets = [make_dataset(data, values, exp, training=False, from_audio=args.from_audio) for data in args.data]
    base, _ = load_recognizer(exp.path, points[0])
    rows = []
    for point in points:
        base = _changed(base, values, point)
        rows.append({**point, **measure(base, sets, values)})
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    best = min(range(len(rows)), key=lambda i: rows[i]["sub"] + rows[i]["del"] + args.insertions * rows[i]["ins"])
    out = Path(args.out) if args.out else exp.path / f"tune_{Path(args.data[0]).name}"
    _write(out, rows, {"decode": points[best]}, args)
    if args.results:
        _tell(args, axes, rows, rows[best])
    print(f"{out}/best.yaml: {points[best]} with error {rows[best]['error']} (of {len(rows)} on {' '.join(args.data)})")


def _changed(base: Any, values: dict[str, Any], point: dict[str, Any]) -> Any:
    """Give the recogniser with other decoding options over the same model and external LM, which are loaded once."""
    from speechlm.decoding.aids import load_aids
    from speechlm.decoding.recognizer import Recognizer, llm_pieces

    decode = {**base.decode, **point}
    pieces = llm_pieces(values["llm"]["checkpoint"], decode, base.model.llm.vocab_size) if values.get("llm") else None
    aids = load_aids(values, decode, base.model, pieces, base.aids) if values.get("llm") else None
    return Recognizer(
        base.model, decode, units=base.units, words=base.words, pieces=pieces, witness=base.witness, aids=aids, kind=base.kind
    )


def _write(out: Path, rows: list[dict[str, Any]], choice: dict[str, Any], args: argparse.Namespace) -> None:
    """Write table.tsv with every point, and best.yaml with the choice and how it was made."""
    import yaml

    from speechlm.io.files import atomic_open

    out.mkdir(parents=True, exist_ok=True)
    with atomic_open(out / "table.tsv") as file:
        file.write("\t".join(rows[0]) + "\n")
        file.writelines("\t".join(str(value) for value in row.values()) + "\n" for row in rows)
    made = {"data": args.data, "grid": args.grid, "insertions": args.insertions}
    with atomic_open(out / "best.yaml") as file:
        yaml.safe_dump({**choice, "tuned": made}, file, sort_keys=False)


def _tell(args: argparse.Namespace, axes: list[str], rows: list[dict[str, Any]], best: dict[str, Any]) -> None:
    """Put the surface into RESULTS.md, with the command that made it."""
    import shlex
    import sys

    from speechlm.report.surface import surface, write_section

    name = f"tuning of {args.exp} on {' '.join(args.data)}"
    silence = f"; units put out where nothing was spoken (among ins): {best['silence']}" if best["silence"] else ""
    text = (
        f"## Tuning: {Path(args.exp).name} on {', '.join(Path(data).name for data in args.data)}\n\n"
        f"Error % (insertions/deletions/substitutions); bold is chosen: the least of sub + del + {args.insertions:g} ins"
        f"{silence}.\n\n{surface(rows, axes, best)}\n`speechlm {shlex.join(sys.argv[1:])}`"
    )
    write_section(args.results, name, text)


def grid_points(grid: list[str]) -> list[list[str]]:
    """Turn ["beam=1,4", "length_penalty=0,1"] into the overrides of every combination, in order."""
    from itertools import product

    from speechlm.core.errors import UserError

    axes = []
    for axis in grid:
        name, equals, text = axis.partition("=")
        if not equals or not all(text.split(",")):
            raise UserError(f"--grid {axis}: write OPTION=VALUE,VALUE as in beam=1,4")
        axes.append([[f"--decode.{name}={value}"] for value in text.split(",")])
    return [[word for words in point for word in words] for point in product(*axes)]


def measure(recognizer: Any, sets: list[Any], values: dict[str, Any]) -> dict[str, float]:
    """Decode whole sets; give error rate in percent, insertions, deletions, substitutions, and insertions on silence."""
    from speechlm.bin.assemble import tally, texts_beside
    from speechlm.data.collate import collate
    from speechlm.decoding.decode import batches_of

    pairs: list[tuple[str, str]] = []
    for dataset in sets:
        sizes = dataset.sizes.tolist()
        order = sorted(range(len(dataset)), key=lambda index: -sizes[index])
        for batch in batches_of(order, sizes, recognizer.decode["batch_seconds"]):
            examples = [dataset.read(index, 0) for index in batch]
            pairs += texts_beside(examples, recognizer.recognize(collate(examples)))
    found, silent = tally(pairs, values), tally([pair for pair in pairs if not pair[0]], values)
    return {"error": round(found.rate, 3), "ins": found.insertions, "del": found.deletions,
            "sub": found.substitutions, "silence": silent.insertions}  # fmt: skip
