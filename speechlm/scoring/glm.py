"""NIST's global mapping files (glm): spellings that count as the same, such as `[COLOUR] => [COLOR]`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from speechlm.core.errors import UserError

RULE = re.compile(r"(?P<left>\[[^\]]*\]|[^\[=]+?)\s*=>\s*(?P<right>\[[^\]]*\]|\{[^}]*\}|[^/\[{]*?)\s*(?P<context>/.*)?")
EMPTY_CONTEXT = re.compile(r"/\s*\[\s*\]\s*__\s*\[\s*\]\s*")


class Mapping:
    """Rules `A B => C`, longest left side first, applied from left to right to reference and hypothesis alike.

    rules: left side (a tuple of words) -> right side (words; none deletes).
    """

    def __init__(self, rules: dict[tuple[str, ...], tuple[str, ...]]) -> None:
        self.rules = rules
        self.sizes: dict[str, list[int]] = {}
        for left in rules:
            self.sizes.setdefault(left[0], []).append(len(left))
        for sizes in self.sizes.values():
            sizes.sort(reverse=True)

    def apply(self, words: Sequence[str]) -> list[str]:
        """Map one transcript."""
        if not any(word in self.sizes for word in words):
            return list(words)
        made: list[str] = []
        place = 0
        while place < len(words):
            for size in self.sizes.get(words[place], ()):
                right = self.rules.get(tuple(words[place : place + size]))
                if right is not None:
                    made += right
                    place += size
                    break
            else:
                made.append(words[place])
                place += 1
        return made


def read_glm(path: Path | str) -> Mapping:
    """Read a mapping file.

    Lines `[OLD WORDS] => [NEW WORDS]`, brackets optional, an empty right side deletes; of alternatives
    `{A / B}` the first is taken, for both sides of the comparison; `;;` and `*` start comments. Contexts
    (`/ [x] __ [y]`) must be empty. Write the words as they are after normalisation.

    Raises: UserError with file and line for anything else, and for a left side that stands twice.
    """
    rules: dict[tuple[str, ...], tuple[str, ...]] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a glm file or leave --glm out") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; convert it with iconv") from None
    for number, line in enumerate(lines, start=1):
        line = line.split(";;")[0].strip()
        if not line or line.startswith("*"):
            continue
        found = RULE.fullmatch(line)
        if not found:
            raise UserError(f"{path}:{number}: not a rule; write '[OLD] => [NEW]'")
        context = found.group("context")
        if context and not EMPTY_CONTEXT.fullmatch(context):
            raise UserError(f"{path}:{number}: a rule with a context is not supported; write '/ [ ] __ [ ]' or nothing")
        left = tuple(found.group("left").strip("[]").split())
        right = found.group("right")
        words = tuple((right.strip("{}").split("/")[0] if right.startswith("{") else right).strip("[] ").split())
        if not left:
            raise UserError(f"{path}:{number}: the left side is empty; name the words to replace")
        if rules.get(left, words) != words:
            raise UserError(f"{path}:{number}: '{' '.join(left)}' is mapped twice; keep one rule")
        rules[left] = words
    return Mapping(rules)
