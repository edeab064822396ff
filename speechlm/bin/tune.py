"""Try decoding options on a development set, write the table and the choice; decode --tuned takes it over."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

TAKES_OVERRIDES = True


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "exp", help="folder of a trained experiment; any --decode.option VALUE that stays fixed may follow"
    )
    parser.add_argument("--data", required=True, help="Kaldi data directory to choose on; never the test set")
    parser.add_argument(
        "--grid", nargs="+", required=True, metavar="OPTION=VALUES", help="as in beam=1,4 length_penalty=0,0.5,1"
    )
    parser.add_argument("--out", help="folder of the table and the choice; default exp/NAME/tune_SET")
    parser.add_argument(
        "--insertions", type=float, default=1.0, help="what an insertion costs beside a substitution or deletion"
    )


def run(args: argparse.Namespace) -> None:
    """Decode once for every point of the grid and choose the lowest cost; the first of equals."""
    import yaml

    from speechlm.bin.assemble import make_dataset
    from speechlm.decoding.recognizer import load_recognizer
    from speechlm.io.expdir import ExpDir
    from speechlm.io.files import atomic_open
    from speechlm.options import decode_overrides

    exp = ExpDir(args.exp)
    values = exp.read_options()
    fixed = decode_overrides(values, args.overrides)
    points = [{**fixed, **decode_overrides(values, point)} for point in grid_points(args.grid)]
    dataset = make_dataset(args.data, values, exp, training=False)
    rows = []
    for point in points:
        recognizer, _ = load_recognizer(exp.path, point)
        rows.append({**point, **measure(recognizer, dataset, values)})
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    best = min(range(len(rows)), key=lambda i: rows[i]["sub"] + rows[i]["del"] + args.insertions * rows[i]["ins"])
    out = Path(args.out) if args.out else exp.path / f"tune_{Path(args.data).name}"
    out.mkdir(parents=True, exist_ok=True)
    with atomic_open(out / "table.tsv") as file:
        file.write("\t".join(rows[0]) + "\n")
        file.writelines("\t".join(str(value) for value in row.values()) + "\n" for row in rows)
    with atomic_open(out / "best.yaml") as file:
        yaml.safe_dump({"decode": points[best]}, file, sort_keys=False)
    print(f"{out}/best.yaml: {points[best]} with error {rows[best]['error']} (of {len(rows)} tried on {args.data})")


def grid_points(grid: list[str]) -> list[list[str]]:
    """Turn ["beam=1,4", "length_penalty=0,1"] into the overrides of every combination, in order."""
    from itertools import product

    from speechlm.core.errors import UserError

    axes = []
    for axis in grid:
        name, equals, text = axis.partition("=")
        if not equals or not text:
            raise UserError(f"--grid {axis}: write OPTION=VALUE,VALUE as in beam=1,4")
        axes.append([[f"--decode.{name}={value}"] for value in text.split(",")])
    return [[word for words in point for word in words] for point in product(*axes)]


def measure(recognizer: Any, dataset: Any, values: dict[str, Any]) -> dict[str, float]:
    """Decode the whole set; give error rate in percent, and insertions, deletions, substitutions."""
    from speechlm.bin.assemble import tally, texts_beside
    from speechlm.data.collate import collate
    from speechlm.decoding.decode import batches_of

    sizes = dataset.sizes.tolist()
    order = sorted(range(len(dataset)), key=lambda index: -sizes[index])
    pairs: list[tuple[str, str]] = []
    for batch in batches_of(order, sizes, recognizer.decode["batch_seconds"]):
        examples = [dataset.read(index, 0) for index in batch]
        pairs += texts_beside(examples, recognizer.recognize(collate(examples)))
    found = tally(pairs, values)
    return {"error": round(found.rate, 3), "ins": found.insertions, "del": found.deletions, "sub": found.substitutions}
