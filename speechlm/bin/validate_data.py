"""Examine a Kaldi data directory: file, line and rule of every fault; status 1 if there is one."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", metavar="DATA", nargs="+", help="data directories")
    for flag, default, text in (
        ("--need_text", "true", "text must be there"),
        ("--need_wav", "true", "wav.scp must be there"),
        ("--need_feats", "false", "feats.scp must be there"),
        ("--allow_empty_text", "false", "transcripts may be empty"),
        ("--allow_pipes", "false", "wav.scp may hold commands; they are run to read their audio"),
        ("--check_audio", "true", "read the header of every recording"),
    ):
        text = f"{text} (default {default})"
        parser.add_argument(flag, nargs="?", const="true", default=default, choices=["true", "false"], help=text)
    parser.add_argument("--per_rule", type=int, default=20, help="faults of a rule to print; all are counted (20)")


def run(args: argparse.Namespace) -> int:
    """Print the faults; 1 if one is more than a warning."""
    from speechlm.io.datadir import validate

    options = ("need_text", "need_wav", "need_feats", "allow_empty_text", "allow_pipes", "check_audio")
    bad = 0
    for data in args.data:
        faults = validate(data, **{name: getattr(args, name) == "true" for name in options}, warnings=True)
        bad += tell(data, faults, args.per_rule)
    return 1 if bad else 0


def tell(data: str, faults: list, per_rule: int) -> int:
    """Print one directory's faults, at most `per_rule` of each rule; how many are more than warnings."""
    import sys
    from collections import Counter

    from speechlm.io.checks import WARNINGS

    counts: Counter[str] = Counter()
    for fault in faults:
        counts[fault.rule] += 1
        if counts[fault.rule] <= per_rule:
            print(f"{'warning: ' if fault.rule in WARNINGS else ''}{fault}", file=sys.stderr)
    for rule, count in counts.items():
        if count > per_rule:
            print(f"{data}: {count - per_rule} more faults of the rule {rule}", file=sys.stderr)
    bad = sum(count for rule, count in counts.items() if rule not in WARNINGS)
    if bad:
        print(f"{data}: {bad} faults; utils/fix_data_dir.sh {data} mends what can be mended", file=sys.stderr)
    else:
        print(f"{data}: valid")
    return bad
