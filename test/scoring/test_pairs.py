"""Reading references and hypotheses: fast and careful give the same; what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.scoring.pairs import ALL, NotPlain, Pair, read_pairs
from speechlm.scoring.score import Settings, score

REF = "a1 one two\na2 three\nb1\nb2 four\n"
HYP = "a1 one two\nb1 noise\nb2 for\n"
SPK = "a1 a\na2 a\nb1 b\nb2 b\n"


def write(folder: Path, ref: str | bytes = REF, hyp: str | bytes = HYP, spk: str = SPK) -> tuple[Path, Path, Path]:
    made = []
    for name, text in (("ref", ref), ("hyp", hyp), ("utt2spk", spk)):
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        made.append(folder / name)
    return made[0], made[1], made[2]


@pytest.mark.parametrize("careful", [True, False])
def test_tables_are_joined(tmp_path: Path, careful: bool) -> None:
    wanted = [Pair("a1", "a", "one two", "one two"), Pair("a2", "a", "three", None), Pair("b1", "b", "", "noise"),
              Pair("b2", "b", "four", "for")]  # fmt: skip
    assert list(read_pairs(*write(tmp_path), careful=careful)) == wanted
    ref, hyp, _ = write(tmp_path)
    assert {pair.speaker for pair in read_pairs(ref, hyp, careful=careful)} == {ALL}


@pytest.mark.parametrize(
    ("ref", "hyp"),
    [
        ("b2 four\na1 one two\nb1\na2 three\n", HYP),  # unsorted
        (REF, "b2 for\na1 one two\nb1 noise\n"),
        (REF.replace("1 one", "1\tone"), HYP),  # a tab after the id
        (REF.rstrip("\n"), HYP.rstrip("\n")),
    ],
)
def test_what_is_not_plain_is_read_with_care(tmp_path: Path, ref: str, hyp: str) -> None:
    wanted = list(read_pairs(*write(tmp_path)))
    found = list(read_pairs(*write(tmp_path, ref, hyp)))
    assert found == wanted


def test_fast_reading_gives_up_where_it_is_not_sure(tmp_path: Path) -> None:
    with pytest.raises(NotPlain):
        list(read_pairs(*write(tmp_path, hyp="b2 for\na1 one\n"), careful=False))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"hyp": HYP + "c9 who\n"}, r"hyp:4: hypothesis 'c9' has no reference"),
        ({"hyp": "a0 who\n" + HYP}, r"hyp:1: hypothesis 'a0' has no reference"),
        ({"hyp": HYP + "b2 again\n"}, r"hyp:4: duplicate id 'b2'"),
        ({"ref": "a1 x\na1 y\n"}, r"ref:2: duplicate id 'a1'"),
        ({"ref": b"a1 one\na2 \xff\n"}, r"ref:2: not UTF-8"),
        ({"hyp": b"a1 one\r\n"}, r"hyp:1: Windows line end"),
        ({"hyp": "a1 o\x07ne\n"}, r"hyp:1: control character"),
        ({"ref": ""}, r"empty; there is nothing to score"),
        ({"spk": "a1 a\nb1 b\nb2 b\n"}, r"has no line for 'a2'"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(tmp_path: Path, files: dict, message: str) -> None:
    if files.get("ref") == "":
        files["hyp"] = ""
    with pytest.raises(UserError, match=message):
        score(*write(tmp_path, **files)[:2], tmp_path / "out", tmp_path / "utt2spk", Settings(sclite="never"))
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        score(tmp_path / "ref", tmp_path / "hyp", tmp_path / "out")
