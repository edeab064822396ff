"""What an adaptation has won on its target domain and lost on its source domain: always both (2312.03668, section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.report.compare import Comparison, compare
from speechlm.report.results import Row, markdown, read_table

BEGIN = "<!-- speechlm forgetting: begin; what stands between the marks is written by the command -->"
END = "<!-- speechlm forgetting: end -->"
TITLE = "Adaptation: target won, source lost"
SENTENCE = (
    "Error rates of the finished model and of the adapted one on both domains. Change: points, with the 95 % interval of a "
    "paired bootstrap over utterances; above 0 on the source is forgetting."
)
COLUMNS = ["adaptation", "domain", "set", "unit", "before %", "after %", "change", "95 % interval", "relative %", "p"]


def forgetting(before: Path, after: Path, source: Sequence[str], target: Sequence[str]) -> list[Row]:
    """Compare two experiments on sets of the source and of the target domain, one row for each.

    before, after: exp/NAME, decoded and scored on all the sets. Raises UserError where a domain has no set, or a set is
    not scored in both experiments: a gain is not told without its price.
    """
    if not source or not target:
        raise UserError("forgetting: give sets of the source and of the target domain; a gain alone tells half")
    rows = []
    for domain, sets in (("target", target), ("source", source)):
        for name in sets:
            found = compare(before / f"decode_{name}", after / f"decode_{name}")
            rows.append(_row(f"{before.name} -> {after.name}", domain, name, found))
    return rows


def _row(adaptation: str, domain: str, name: str, found: Comparison) -> Row:
    first, second = found.rates
    gap = found.paired.difference
    return {
        "adaptation": adaptation,
        "domain": domain,
        "set": name,
        "unit": found.unit,
        "before %": f"{first:.2f}",
        "after %": f"{second:.2f}",
        "change": f"{second - first:+.2f}",
        "95 % interval": f"{gap.low:+.2f} to {gap.high:+.2f}",
        "relative %": f"{100 * (second - first) / first:+.1f}" if first else "-",
        "p": f"{found.paired.p:.4f}",
    }


def write_forgetting(path: Path, rows: list[Row]) -> None:
    """Write or renew the marked block of RESULTS.md; rows of other adaptations and everything around it are kept."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    before, mark, rest = text.partition(BEGIN)
    block, closing, behind = rest.partition(END)
    if mark and not closing:
        raise UserError(f"{path}: the mark '{END}' is missing; put it back below the table")
    kept = {_key(row): row for row in read_table(block, TITLE)}
    kept.update({_key(row): row for row in rows})
    table = markdown(COLUMNS, [kept[key] for key in sorted(kept)])
    with atomic_open(path) as file:
        start = before if mark else before.rstrip("\n") + "\n\n"
        file.write(f"{start}{BEGIN}\n\n## {TITLE}\n\n{SENTENCE}\n\n{table}\n{END}{behind if mark else chr(10)}")


def _key(row: Row) -> tuple[str, str, str]:
    # The target comes before the source.
    return row["adaptation"], {"target": "0", "source": "1"}.get(row["domain"], row["domain"]), row["set"]
