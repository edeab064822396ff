"""CSJ: the tags of its transcripts, its units, its editions and its official test sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.corpora.base import prepare
from speechlm.corpora.csj import EVAL, SAME_SPEAKER, CsjCorpus
from speechlm.corpora.csj_text import Unit, decode, join_units, open_tags, plain_text, read_sdb
from speechlm.io.datadir import DataDir, validate
from test.corpora.lectures import LECTURES, csj, encoded, sdb

OPTIONS = {"dev_utterances": 1, "allow_partial": True}


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("(F えー)それでは", "えーそれでは"),
        ("(D こ)これ(D2 は)が", "ここれはが"),
        ("(W ギーツ;ギジュツ)の", "ギジュツの"),
        ("(B シブタイ;ジュータイ)", "ジュータイ"),
        ("(? 言語)学", "言語学"),
        ("(? 言語,原語)学", "言語学"),
        ("(?)です", "です"),
        ("(A シーディーアール;ＣＤ－Ｒ)", "ＣＤ－Ｒ"),
        ("(A 二千三;２００３)年", "二千三年"),
        ("(K たち (F んー) ばな;橘)さん", "橘さん"),
        ("(笑 (F あの) そうです)<笑>", "あのそうです"),
        ("(M (O グッドモーニング) という)", "グッドモーニングという"),
        ("(L (? (F うーん)))<雑音><P:00453.373-00454.013>と", "うーんと"),
        ("んーーはい(F ン-)", "んはいン"),
        ("(R ×××)さん", "×××さん"),
        ("開い(F えー", "開いえー"),
        ("閉じ)た", "閉じた"),
        ("", ""),
    ],
)
def test_tags(marked: str, plain: str) -> None:
    assert plain_text(marked) == plain


def test_fillers_and_fragments_may_go() -> None:
    marked = "(F えー)(D こ)これ(W (D ホン)ジツ;(F あー)本日)"
    assert plain_text(marked) == "えーここれあー本日"
    assert plain_text(marked, fillers=False) == "ここれ本日"
    assert plain_text(marked, fragments=False) == "えーこれあー本日"
    assert open_tags("(F えー)(A シー") == {"A"} and open_tags("(M (W ア;い)") == {"M"} and open_tags("です)") == set()


def unit(start: float, end: float, surface: str = "あ") -> Unit:
    return Unit(start, end, "L", surface)


def test_units_are_joined_over_short_pauses_until_long() -> None:
    def spans(*units: Unit) -> list[tuple[float, float]]:
        return [(one.start, one.end) for one in join_units(units, pause=0.5, most=10.0)]

    assert spans(unit(0, 2), unit(2.5, 4), unit(4.6, 5)) == [(0, 4), (4.6, 5)]
    assert spans(unit(0, 9.9), unit(10, 14), unit(14.1, 15)) == [(0, 14), (14.1, 15)]
    assert spans(unit(0, 1, "(A シー"), unit(3, 4, "ディー;ＣＤ)"), unit(6, 7)) == [(0, 4), (6, 7)]
    assert spans(unit(0, 1, "(笑 は"), unit(3, 4, "い)")) == [(0, 1), (3, 4)]
    assert len(spans(unit(0, 1, "(F は"), *(unit(2 * i, 2 * i + 1) for i in range(1, 20)))) > 10, "a slip is no lecture"
    assert spans() == []


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "utf-8"])
def test_every_edition_can_be_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "A01F0001.sdb"
    path.write_bytes(encoded(sdb("A01F0001", LECTURES["A01F0001"]), encoding) + b"\n")
    units = read_sdb(path)
    assert [one.surface for one in units][1] == "音声の(A シーディーアール;ＣＤ－Ｒ)です"
    assert (units[0].start, units[0].end, units[0].channel) == (0.4, 0.9, "L")
    path.write_bytes(b"\xff\xfe\x81")
    with pytest.raises(UserError, match="neither Shift_JIS"):
        decode(path)


@pytest.mark.parametrize("edition", ["usb", "dvd"])
def test_prepared_sets(tmp_path: Path, edition: str) -> None:
    corpus = CsjCorpus(csj(tmp_path / "c", edition=edition), **OPTIONS)
    found = prepare(corpus, corpus.splits, tmp_path / "data")
    for split in corpus.splits:
        assert validate(tmp_path / "data" / split) == []
    data = {split: DataDir(tmp_path / "data" / split) for split in corpus.splits}
    assert data["eval1"].text == {"A01M0097_0000200_0000800": "結果を示します"}
    assert data["eval2"].text == {
        "A01F0001_0000400_0001600": "えーそれでは発表します音声のＣＤ－Ｒです",
        "A01M0056_0000200_0000800": "ここれは実験です",
    }
    assert found["eval2"]["dropped, with silenced names"] == 1
    assert data["eval3"].text == {"S00F0019_0000200_0000800": "そうですね"}
    assert (tmp_path / "data/eval2/spk2gender").read_text() == "A01F0001 f\nA01M0056 m\n"
    assert data["eval2"].segments == {
        "A01F0001_0000400_0001600": "A01F0001 0.400 1.600", "A01M0056_0000200_0000800": "A01M0056 0.200 0.800"}  # fmt: skip
    assert len(data["eval2"].audio("A01F0001_0000400_0001600")) == 19200
    train, dev = (set((data[split].utt2spk or {}).values()) for split in ("train", "dev"))
    assert train | dev == {"A02M0999", "S01F0888", "S02M0777", "M00F0666"} and not train & dev
    assert {"言語の研究", "二千三年"} <= set((data["train"].text or {}).values()) | set(
        (data["dev"].text or {}).values()
    )


def test_options_choose_recordings_and_words(tmp_path: Path) -> None:
    folder = csj(tmp_path / "c")
    talks = CsjCorpus(folder, kinds=["D", "S"], fillers=False, **OPTIONS)
    found = [one for split in ("train", "dev") for one in talks.utterances(split)]
    assert {one.speaker for one in found} == {"D01M0555-L", "D01M0555-R", "S01F0888", "S02M0777"}
    assert {one.text for one in found} >= {"はいええ", "そうですか", "旅行に行きました"}
    assert {Path(one.audio).stem for one in found} == {one.speaker for one in found}
    (folder / "WAV/noncore/S02M0777.wav").unlink()
    fewer = CsjCorpus(folder, kinds=["S", "A"], **OPTIONS)
    assert "S02M0777" not in {one.speaker for split in ("train", "dev") for one in fewer.utterances(split)}
    with pytest.raises(UserError, match="--kinds: no recordings of the kind X"):
        CsjCorpus(folder, kinds=["X"])


def test_faults_are_told(tmp_path: Path) -> None:
    folder = csj(tmp_path / "c")
    with pytest.raises(UserError, match=r"eval1 lacks 9 of 10 lectures \(A01M0110 \.\.\.\)"):
        list(CsjCorpus(folder).utterances("eval1"))
    with pytest.raises(UserError, match="nothing is left to train on"):
        list(CsjCorpus(folder).utterances("train"))
    with pytest.raises(UserError, match="no split 'test'"):
        list(CsjCorpus(folder).utterances("test"))
    table = folder / "MORPH/SDB/core/A01M0097.sdb"
    table.write_text("a\tb\tc\tno time\te\tf\n")
    with pytest.raises(UserError, match=r"A01M0097\.sdb:1: column 4 must be like"):
        list(CsjCorpus(folder, **OPTIONS).utterances("eval1"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no \*\.sdb anywhere below"):
        list(CsjCorpus(tmp_path / "empty").utterances("eval1"))


def test_the_official_tests() -> None:
    assert [len(names.split()) for names in EVAL.values()] == [10, 10, 10]
    named = [name for names in EVAL.values() for name in names.split()]
    assert len(set(named)) == 30 and not SAME_SPEAKER & set(named)
    genders = [sum(name[3] == "F" for name in names.split()) for names in EVAL.values()]
    assert genders == [0, 5, 5], "eval1 is by men, the others by five women and five men"


def test_the_command(tmp_path: Path) -> None:
    folder = csj(tmp_path / "c")
    given = ["prepare", "csj", "--corpus_dir", str(folder), "--data", str(tmp_path / "data"), "--dev_utterances", "1",
             "--allow_partial", "true", "--kinds", "A", "S", "--fragments", "false"]  # fmt: skip
    assert main(given) == 0
    assert DataDir(tmp_path / "data/eval2").text["A01M0056_0000200_0000800"] == "これは実験です"
