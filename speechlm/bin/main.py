"""The `speechlm` command: one subcommand for every stage and tool, each a thin module of `speechlm.bin`.

Only the chosen module is imported, and it imports what is heavy when it runs: `speechlm --help` costs no torch.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import sys
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.core.registry import nearest

COMMANDS: dict[str, list[str]] = {
    "data": ["prepare", "nonspeech", "validate_data", "fix_data", "utt2dur", "segment"],
    "features": ["fbank", "cmvn", "encode"],
    "text": ["tokens", "units", "lexicon", "make_llm", "make_masked_lm", "aux_text"],
    "training": ["train", "options", "export", "to_safetensors", "sweep"],
    "decoding": ["decode", "transcribe", "tune"],
    "scoring": ["score", "score_hub5", "results", "compare", "forgetting", "report"],
}
"""Subcommands by the floor they serve; each is the module `speechlm.bin.NAME`."""


def names() -> list[str]:
    """List all subcommands."""
    return [name for group in COMMANDS.values() for name in group]


def summary(name: str) -> str:
    """Read a subcommand's sentence from its source, without importing it."""
    source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(source)) or ""
    return doc.split("\n\n")[0].replace("\n", " ")


def overview() -> str:
    """Write the help page."""
    lines = ["usage: speechlm COMMAND [options]      (speechlm COMMAND --help tells the options)", ""]
    for group, members in COMMANDS.items():
        lines.append(f"{group}:")
        lines += [f"  {name:<14} {summary(name)}" for name in members]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; a user's mistake is one line on stderr and exit status 1."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        print(overview())
        return 0
    if given[0] == "--version":
        from speechlm import __version__

        print(__version__)
        return 0
    if given[0] not in names():
        print(f"speechlm: unknown command '{given[0]}'; {nearest(given[0], names())}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"speechlm.bin.{given[0]}")
    parser = argparse.ArgumentParser(
        prog=f"speechlm {given[0]}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.arguments(parser)
    takes_overrides = getattr(module, "TAKES_OVERRIDES", False)
    args, rest = parser.parse_known_args(given[1:])
    if takes_overrides:
        args.overrides = rest
    elif rest:
        parser.error(f"unknown option {rest[0]}; see speechlm {given[0]} --help")
    return _run(given[0], module.run, args)


def _run(name: str, run: object, args: argparse.Namespace) -> int:
    from speechlm.core.log import setup_logging

    setup_logging()
    try:
        return int(run(args) or 0)  # type: ignore[operator]
    except UserError as error:
        for line in str(error).splitlines():
            print(f"speechlm {name}: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"speechlm {name}: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
