"""Score telephone conversations with NIST's stm and glm through sctk; write one WER line for each kind of recording."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--data", required=True, help="data directory with stm, glm and segments (stage 0 of swbd)")
    parser.add_argument("--decode", required=True, help="decode folder, exp/NAME/decode_SET")


def run(args: argparse.Namespace) -> None:
    """Score and print; the lines also go to scoring_hub5/wer. Without sctk it says so and leaves it at our own scores."""
    from pathlib import Path

    from speechlm.io.files import atomic_open
    from speechlm.scoring.hub5 import score_hub5
    from speechlm.scoring.sclite import find_sclite

    if find_sclite() is None:
        print(f"{args.decode}: sctk is not installed (tools/install_sctk.sh): no scores by stm; scoring_kaldi has ours by glm_plain")
        return
    folder = Path(args.decode)
    found = score_hub5(Path(args.data), folder)
    lines = [f"{sums.line} {folder}/scoring_hub5/{kind}\n" for kind, sums in found.items()]
    with atomic_open(folder / "scoring_hub5" / "wer") as file:
        file.writelines(lines)
    print("".join(lines), end="")
