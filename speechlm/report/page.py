"""`speechlm report`: one self-contained HTML page of an experiment; nothing in it asks the network for anything."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from speechlm.core.errors import UserError
from speechlm.io.expdir import ExpDir
from speechlm.io.files import atomic_open
from speechlm.report.facts import Facts, facts_of
from speechlm.report.metrics import charts_of, read_metrics
from speechlm.report.provenance import git_commit
from speechlm.report.results import decode_folders
from speechlm.report.sound import data_uri
from speechlm.report.svg import draw
from speechlm.report.utterances import Choice, Entry, add_sound, entries
from speechlm.scoring.insertions import CLASSES
from speechlm.scoring.wer import METRIC, PREFIX, percent

LOGGER = logging.getLogger(__name__)
TOP = 25
"""Rows of each table of confusions."""
PICTURES, PICTURE_BYTES = 24, 4 << 20
LANGUAGES = {
    "zh": "Mandarin: NFKC (full to half width), no punctuation, Latin letters in capitals, no blanks beside characters",
    "ja": "Japanese: NFKC, punctuation and blanks removed",
    "en": "English: lower case, punctuation removed except apostrophes inside words",
    "none": "none: only blanks are squeezed",
}
"""What `speechlm.text.normalize` does, in words for the page."""


@dataclass(frozen=True)
class Section:
    """What the page shows of one decode folder."""

    facts: Facts
    anchor: str
    speakers: list[dict[str, Any]]
    confusions: dict[str, list[tuple[str, str, int]]]
    classes: list[tuple[str, str, int]]
    entries: list[Entry]
    total: int
    sounding: int

    @property
    def metric(self) -> str:
        """WER, CER or MER."""
        return METRIC[self.facts.score["unit"]]

    @property
    def normalisation(self) -> str:
        """What was done to both texts before they were compared."""
        return LANGUAGES.get(self.facts.score["language"], self.facts.score["language"])


def write_page(exp: Path, out: Path, *, data: Path | None = None, choice: Choice | None = None) -> Path:
    """Write the page of an experiment.

    exp: folder exp/NAME. data: folder of the data directories (data/SET), for audio; by default where the references
    lay. Raises: UserError if there is no such folder, or neither metrics.jsonl nor a scored decode folder in it.
    """
    choice = choice or Choice()
    if not exp.is_dir():
        raise UserError(f"{exp}: no such folder; give an experiment such as exp/conformer_ctc")
    folders = decode_folders([exp])
    place = ExpDir(exp)
    charts = charts_of(read_metrics(place.metrics)) if place.metrics.exists() else []
    if not folders and not charts:
        raise UserError(f"{exp}: neither metrics.jsonl nor a scored decode folder here; run stage 4 or stages 5 and 6")
    sections = [section(facts_of(folder), number, data, choice) for number, folder in enumerate(folders)]
    values = {
        "name": exp.resolve().name,
        "made": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "commit": git_commit(),
        "charts": [(chart, draw(chart)) for chart in charts],
        "sections": sections,
        "pictures": pictures(place.plots),
        "options": place.page.read_text(encoding="utf-8") if place.page.exists() else "",
        "command": place.command.read_text(encoding="utf-8").strip() if place.command.exists() else None,
        "class_names": CLASSES,
        "payload": payload(sections),
        **{name: Markup(resource(f"page.{name}")) for name in ("css", "js")},
        "explorer": Markup(resource("explorer.js")),
    }
    with atomic_open(out) as file:
        file.write(environment().get_template("page.html.j2").render(values))
    return out


def resource(name: str) -> str:
    """Read a file that lies beside this module."""
    return files("speechlm.report").joinpath(name).read_text(encoding="utf-8")


def environment() -> Any:
    """Make the template engine; every value is escaped unless it is marked as ours."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(resource), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    made.filters["percent"] = lambda value, digits=2: "–" if value is None else f"{value:.{digits}f}"
    made.filters["count"] = lambda value: "–" if value is None else f"{value:,}".replace(",", "\u2009")
    made.filters["share"] = lambda part, whole: round(percent(part, whole), 3) if whole else 0
    return made


def section(facts: Facts, number: int, data: Path | None, choice: Choice) -> Section:
    """Gather what the page shows of a decode folder."""
    score = facts.score
    folder = data_folder(facts, data)
    shown = entries(facts, folder, choice)
    sounding = add_sound(shown, folder, choice)
    details = facts.folder / "scoring_kaldi" / f"{PREFIX[score['unit']]}_details"
    found = score["insertions_apart"]["classes"]
    LOGGER.info("%s: %d utterances, %d with audio", facts.folder, len(shown), sounding)
    return Section(
        facts=facts,
        anchor=f"set{number}",
        speakers=list(speaker_rows(details / "per_spk")),
        confusions=confusions(details / "ops"),
        classes=[(name, meaning, found.get(name, 0)) for name, meaning in CLASSES.items()],
        entries=shown,
        total=score["utterances"],
        sounding=sounding,
    )


def data_folder(facts: Facts, data: Path | None) -> Path | None:
    """Find the data directory that was decoded: under `data`, else where the references lay."""
    places = [data / facts.set] if data else []
    places.append(Path(facts.score["ref"]).parent)
    return next((place for place in places if place.is_dir()), None)


def speaker_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read Kaldi's per_spk: the counts of each speaker."""
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        name, kind, *cells = line.split()
        if kind == "raw" and name != "SUM":
            names = ("utterances", "words", "correct", "sub", "ins", "del", "errors", "wrong")
            row: dict[str, Any] = {"name": name, **dict(zip(names, map(int, cells)))}
            yield {**row, "rate": percent(row["errors"], row["words"]) if row["words"] else None}


def confusions(path: Path) -> dict[str, list[tuple[str, str, int]]]:
    """Read the most frequent errors of each kind from Kaldi's ops."""
    found: dict[str, list[tuple[str, str, int]]] = {"substitution": [], "deletion": [], "insertion": []}
    with open(path, encoding="utf-8") as file:
        for line in file:
            op, ref, hyp, much = line.split()
            if op in found and len(found[op]) < TOP:
                found[op].append((ref, hyp, int(much)))
    return found


def pictures(folder: Path) -> list[tuple[str, str]]:
    """Take in the PNGs of a training's plots (attention and matching maps); the curves are drawn anew."""
    found = [path for path in sorted(folder.glob("*.png")) if path.name != "curves.png"] if folder.is_dir() else []
    if len(found) > PICTURES:
        LOGGER.warning("%s: the first %d of %d pictures are shown", folder, PICTURES, len(found))
    return [
        (path.stem.replace("_", " "), data_uri("image/png", path.read_bytes()))
        for path in found[:PICTURES]
        if path.stat().st_size <= PICTURE_BYTES
    ]


def payload(sections: list[Section]) -> Markup:
    """Write the utterances as JSON that cannot end the script element it stands in."""
    text = json.dumps({one.anchor: one.entries for one in sections}, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
