"""sclite: its tables byte by byte, and the real program where it is installed, with every sign that means something to it."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from speechlm.scoring import sclite
from speechlm.scoring.align import Counts, Vocabulary, align, count
from speechlm.scoring.sclite import TrnWriter, escape, find_sclite, report
from speechlm.scoring.spkr_table import summary_tables
from speechlm.scoring.wer import Tally
from test.paths import shared

SIGNS = "ab@{}();*\\%_-#&<>/'\"+=|!?:.,[]^~`$é中"


@pytest.fixture
def program() -> Path:
    found = find_sclite()
    if found is None:
        pytest.skip("needs sclite (Debian: apt-get install sctk)")
    return found


def read_trn(path: Path) -> dict[str, list[str]]:
    rows = (line.rpartition("(") for line in path.read_text(encoding="utf-8").splitlines())
    return {place.rstrip(")"): words.split() for words, _, place in rows}


def counts_of(vocabulary: Vocabulary, refs: list[list[str]], hyps: list[list[str]]) -> list[Counts]:
    ref_ids, hyp_ids = vocabulary.encode(refs), vocabulary.encode(hyps)
    return count(ref_ids, hyp_ids, align(ref_ids, hyp_ids))


def tallies(ref: Path, hyp: Path) -> dict[str, Tally]:
    made: dict[str, Tally] = {}
    refs, hyps = read_trn(ref), read_trn(hyp)
    both = [place for place in refs if place in hyps]
    counts = counts_of(Vocabulary(), [refs[place] for place in both], [hyps[place] for place in both])
    for place, one in zip(both, counts):
        made.setdefault(place.partition("-")[0].lower(), Tally()).add(one)
    return made


@pytest.mark.parametrize(("ref", "hyp", "unit"), [("ref", "hyp", "word"), ("ref_zh", "hyp_zh", "char")])
def test_our_tables_are_sclites_bytes(ref: str, hyp: str, unit: str) -> None:
    folder = shared("oracle/sclite")
    theirs = (folder / f"{hyp}.trn.sys").read_text() + (folder / f"{hyp}.trn.raw").read_text()
    found = tallies(folder / f"{ref}.trn", folder / f"{hyp}.trn")
    assert summary_tables(f"{hyp}.trn", found, unit) == theirs


def test_counts_of_every_utterance_are_sclites() -> None:
    folder = shared("oracle/sclite")
    refs, hyps = read_trn(folder / "ref.trn"), read_trn(folder / "hyp.trn")
    places = list(hyps)
    found = counts_of(Vocabulary(), [refs[place] for place in places], list(hyps.values()))
    ours = {place: [one.correct, one.substitutions, one.deletions, one.insertions] for place, one in zip(places, found)}
    place, checked = "", 0
    for line in gzip.decompress((folder / "hyp.trn.pra.gz").read_bytes()).decode("utf-8").splitlines():
        if line.startswith("id: ("):
            place = line.strip()[5:-1]
        elif line.startswith("Scores:"):
            assert ours[place] == list(map(int, line.split()[-4:])), place
            checked += 1
    assert checked == 1990


def test_escape_is_one_to_one() -> None:
    words = {"@", "%40", "%", "{", "**", ";;", "(x)", "a\\b", "plain"}
    assert len({escape(word) for word in words}) == len(words)
    assert escape("plain 中") == "plain 中"
    assert escape("@ {") == "%40 %7B"


class Writer:
    """Fills the trn files of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.vocabulary = folder, Vocabulary()

    def write(self, rows: list[tuple[str, str, str, str]]) -> dict[str, Tally]:
        counts = counts_of(self.vocabulary, [row[2].split() for row in rows], [row[3].split() for row in rows])
        with TrnWriter(self.folder, self.vocabulary.units) as trn:
            for row, one in zip(rows, counts):
                trn.add(*row, one)
            trn.flush()
        return trn.speakers


TRAPS = [
    ("u1", "s-1", "@ a @", "@ a"),
    ("u2", "s_1", "{ a b", "{ a b }"),
    ("u3", "S-1", "** ;; x", "** x"),
    ("u4", "s-1", ";; start", ";; start"),
    ("u5", "(p)", "a\\b c", "a b c"),
    ("u-6", "%41", "(%uh) x", "x"),
    ("U-6", "all", "É A a", "é a a"),
    ("u_7", "all", "", "noise"),
    ("u8", "all", "lost words", ""),
]


def test_traps_of_sclite_are_counted_by_the_real_sclite(program: Path, tmp_path: Path) -> None:
    speakers = Writer(tmp_path).write(TRAPS)
    text = report(tmp_path, speakers, "word").read_text(encoding="utf-8")
    assert text.startswith(f"Made by {program}")
    assert text.split("\n", 1)[1] == summary_tables("hyp.trn", speakers, "word")
    assert len(speakers) == 6
    assert (tmp_path / "result.pra").exists() and (tmp_path / "result.dtl").exists()


def test_random_signs_are_counted_by_the_real_sclite(program: Path, tmp_path: Path) -> None:
    random_ = random.Random(5)
    words = ["".join(random_.choices(SIGNS, k=random_.choice([1, 1, 2, 3]))) for _ in range(150)]
    rows = []
    for number in range(400):
        ref = random_.choices(words, k=random_.randint(0, 12))
        hyp = [random_.choice(words) if random_.random() < 0.1 else word for word in ref if random_.random() > 0.07]
        rows.append((f"u{number}", f"speaker{number % 7}", " ".join(ref), " ".join(hyp)))
    speakers = Writer(tmp_path).write(rows)
    text = report(tmp_path, speakers, "word").read_text(encoding="utf-8")
    assert text.startswith("Made by /")
    assert text.split("\n", 1)[1] == summary_tables("hyp.trn", speakers, "word")


def test_characters(program: Path, tmp_path: Path) -> None:
    speakers = Writer(tmp_path).write([("u1", "s", "今 天 好", "今 添 好"), ("u2", "s", "是 的", "是")])
    text = report(tmp_path, speakers, "char").read_text(encoding="utf-8")
    assert "|  Sum/Avg" not in text and "| Sum/Avg|    2      5 | 60.0   20.0   20.0    0.0   40.0  100.0 |" in text


def test_an_utterance_that_sclite_drops_is_noticed(program: Path, tmp_path: Path) -> None:
    speakers = Writer(tmp_path).write([("u1", "s", "a b", "a b"), ("u2", "s", "c d", "x y")])
    lines = (tmp_path / "hyp.trn").read_text().splitlines(keepends=True)
    (tmp_path / "hyp.trn").write_text(lines[0])
    text = report(tmp_path, speakers, "word").read_text()
    assert text.startswith("Made by speechlm in sclite's layout: sclite scored [1, 2] utterances and words, not [2, 4]")
    assert "| Sum/Avg|    2      4 | 50.0" in text


def test_without_sclite_the_tables_are_ours_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speakers = Writer(tmp_path).write(TRAPS)
    monkeypatch.setattr(sclite, "find_sclite", lambda: None)
    text = report(tmp_path, speakers, "word").read_text()
    assert text.startswith("Made by speechlm in sclite's layout: sclite is not installed")
    assert "SPKR" in text and "Sum/Avg" in text and "No Reference words" not in text


def test_a_set_too_large_for_sclite_is_not_given_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speakers = Writer(tmp_path).write(TRAPS)
    monkeypatch.setattr(sclite, "find_sclite", lambda: Path("/bin/false"))
    assert "are more than sclite's memory" in report(tmp_path, speakers, "word", limit=3).read_text()
    assert "ended with status 1" in report(tmp_path, speakers, "word").read_text()
    assert "switched off" in report(tmp_path, speakers, "word", use="never").read_text()


def test_speakers_without_words_are_told_as_sclite_does(program: Path, tmp_path: Path) -> None:
    rows = [("u1", "s", "a b c", "a x c"), ("u2", "silent", "", ""), ("u3", "silent", "", "foo bar"), ("u4", "t", "d", "d")]
    speakers = Writer(tmp_path).write(rows)
    text = report(tmp_path, speakers, "word").read_text()
    assert "* No Reference words for this/these speaker(s)." in text
    assert text.split("\n", 1)[1] == summary_tables("hyp.trn", speakers, "word")
