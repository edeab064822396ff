"""Score a decode folder: Kaldi's and sclite's reports, classes of insertions, and scoring.json for the reports."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("--ref", required=True, type=Path, help="references, the table data/SET/text")
    add("--hyp", required=True, type=Path, help="hypotheses, the table exp/NAME/decode_SET/text")
    add("--out", required=True, type=Path, help="decode folder, exp/NAME/decode_SET; the reports go into it")
    add("--utt2spk", type=Path, help="speakers; default: utt2spk beside --ref, else one speaker 'all'")
    add("--utt2dur", type=Path, help="durations, for words per minute on non-speech; default: utt2dur beside --ref")
    add("--unit", default="word", choices=["word", "char", "mixed"], help="what is counted (mixed: Han and words)")
    add("--language", default="none", choices=["zh", "ja", "en", "none"], help="whose text normaliser is applied")
    add("--tag", default="best", help="name of the decoding in file names, as beam4 in cer_beam4")
    add("--glm", type=Path, help="spellings that count as the same, one '[OLD] => [NEW]' a line (NIST's glm)")
    add("--prompt", help="text before the answer, to find leaks of it; default: of the experiment's prompt.json")
    add("--sclite", default="auto", choices=["auto", "never"], help="run sclite where it is installed")


def run(args: argparse.Namespace) -> None:
    """Score, write everything, print the %WER line."""
    from speechlm.core.errors import UserError
    from speechlm.report.provenance import git_commit
    from speechlm.scoring.score import Settings, score, summary, write_summary

    if "/" in args.tag or not args.tag:
        raise UserError(f"--tag '{args.tag}': must be a file name's part without a slash")
    settings = Settings(
        unit=args.unit,
        language=args.language,
        tag=args.tag,
        glm=args.glm,
        prompt=_prompt(args.out.parent) if args.prompt is None else args.prompt,
        sclite=args.sclite,
        utt2dur=args.utt2dur or _beside(args.ref, "utt2dur"),
    )
    utt2spk = args.utt2spk or _beside(args.ref, "utt2spk")
    result = score(args.ref, args.hyp, args.out, utt2spk, settings)
    paths = {"ref": str(args.ref), "hyp": str(args.hyp), "utt2spk": str(utt2spk) if utt2spk else None}
    extra = {"set": args.ref.resolve().parent.name, **paths, "commit": git_commit()}
    write_summary(args.out / "scoring.json", summary(result, settings, extra))
    print(result.line)
    print(f"see {args.out}/scoring_kaldi and {result.sclite}")


def _beside(ref: Path, name: str) -> Path | None:
    path = ref.parent / name
    return path if path.exists() else None


def _prompt(exp: Path) -> str:
    """Read the literal text of the experiment's prompt, without slots and special tokens; "" without a prompt."""
    import re

    from speechlm.io.expdir import ExpDir

    stored = ExpDir(exp).read_json(ExpDir(exp).prompt)
    template = f"{stored.get('template', '')} {stored.get('hot', {}).get('template', '')}".strip()
    return re.sub(r"\{\w+\}|<[^<>]*>|\[[A-Z_0-9]+\]", " ", template)
