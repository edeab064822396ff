"""Auxiliary text holds nothing of the held-out sets: against a plain loop over all pairs of sentences."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.io.tables import read_table
from speechlm.text.auxiliary import Auxiliary
from speechlm.text.leakage import HeldOut, Leakage, fingerprint
from speechlm.text.sentences import sentences

WORDS = st.text("甲乙丙丁", min_size=1, max_size=9)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=4), WORDS, st.integers(1, 5))
def test_leaks_are_those_of_a_plain_loop(held: list[str], text: str, n: int) -> None:
    found = HeldOut({"dev": held}, n=n).find(text)
    shared = any(one[i : i + n] in text for one in held for i in range(len(one) - n + 1))
    assert (found is not None) == (text in held or shared)
    assert found is None or found[0] == ("exact" if text in held else "ngram")


def test_punctuation_width_and_spaces_hide_nothing() -> None:
    held = HeldOut({"dev": ["广州市 房地产 中介"], "test": ["黑色Ｔ恤衫很好看啊"]})
    assert held.find("广州市房地产，中介。") == ("exact", "dev")
    assert held.find("他的黑色T恤衫很好看啊吗") == ("ngram", "test")
    assert held.find("黑色T恤衫很好") is None


def test_sentences_are_chinese_of_the_length_asked_for() -> None:
    text = "今天天气很好！ab好的好的好的。太短了？他说，我们明天一起去北京，后天一起去上海，再去广州"
    found = list(sentences(text, shortest=5, longest=12))
    assert found == ["今天天气很好", "他说我们明天一起去北京", "后天一起去上海再去广州"]


def _chosen(lines: list[str], size: int, held: list[str] = (), known: list[str] = ()) -> list[str]:  # type: ignore[assignment]
    return list(Auxiliary(lambda: lines, HeldOut({"dev": held}), known, size).chosen())


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=30), st.data())
def test_fewer_are_part_of_more_and_none_comes_twice(lines: list[str], data: st.DataObject) -> None:
    everything = _chosen(lines, 0)
    assert everything == list(dict.fromkeys(lines))
    size = data.draw(st.integers(1, len(everything)))
    some = _chosen(lines, size)
    assert len(some) == size == len(set(some)) and set(some) <= set(everything)
    more = _chosen(lines, data.draw(st.integers(size, len(everything))))
    assert set(some) <= set(more)


def test_known_and_leaking_sentences_are_not_chosen_and_too_little_text_is_told() -> None:
    lines = ["甲乙丙丁甲乙丙丁", "丁丙乙甲丁", "甲甲甲甲甲"]
    assert _chosen(lines, 0, held=["乙丙甲乙丙丁甲乙丙丁"], known=["丁丙乙甲丁"]) == ["甲甲甲甲甲"]
    with pytest.raises(UserError, match="2 sentences are wanted, the sources have 1 different ones of 3"):
        _chosen(lines, 2, held=["乙丙甲乙丙丁甲乙丙丁"], known=["丁丙乙甲丁"])


def test_fingerprints_never_change() -> None:
    assert fingerprint("") == int.from_bytes(bytes.fromhex("e4a6a0577479b2b4"), "little")


def test_a_report_counts_by_set() -> None:
    report, held = Leakage(), HeldOut({"dev": ["甲乙丙丁甲乙丙丁"], "test": ["丁丁"]})
    for text in ("丁丁", "甲乙丙丁甲乙丙丁甲", "丙"):
        report.add(text, held.find(text))
    assert report.line() == "2 of 3 sentences leak (66.67 %): 1 are a sentence of test, 1 share a run with dev"


def test_the_command_writes_a_text_only_directory(tmp_path: Path) -> None:
    for name, text in (
        ("train", "a 甚至出现交易\nb 甚至出现交易\nc 广州市房地产中介协会"),
        ("dev", "d 广州市房地产中介协会分析"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text(text + "\n", encoding="utf-8")
    source = tmp_path / "news.txt"
    source.write_text(
        "今天天气很好。昨天广州市房地产中介协会说。abc\n明天会下大雨！明天会下大雨！\n甚至出现交易\n", encoding="utf-8"
    )
    out = tmp_path / "aux"
    given_ = ["aux_text", "--transcripts", f"{tmp_path}/train/text", "--held_out", f"{tmp_path}/dev",
              "--sources", str(source), "--out", str(out)]  # fmt: skip
    assert main([*given_, "--times", "1"]) == 0
    texts = list(read_table(out / "text", ordered=True).values())
    assert texts == ["广州市房地产中介协会", "甚至出现交易", "今天天气很好", "明天会下大雨"]
    assert set(read_table(out / "utt2spk")) == set(read_table(out / "text"))
    report = json.loads((out / "leakage.json").read_text(encoding="utf-8"))
    assert (report["transcripts"], report["auxiliary"], report["sources_different"]) == (2, 2, 2)
    assert report["leaking_transcripts"]["ngram"] == {"dev": 1} and report["left_out_of_sources"]["ngram"] == {"dev": 1}
    before = (out / "text").read_bytes()
    assert main([*given_, "--times", "9"]) == 1 and (out / "text").read_bytes() == before


def test_two_held_out_sets_of_one_name_are_both_held_out(tmp_path: Path) -> None:
    for name, text in (("train", "今天天气很好"), ("a/test", "明天会下大雨"), ("b/test", "后天会下大雪")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "text").write_text(f"u1 {text}\n", encoding="utf-8")
    (tmp_path / "more.txt").write_text("明天会下大雨\n后天会下大雪\n昨天没有下雨\n", encoding="utf-8")
    a, b = f"{tmp_path}/a/test", f"{tmp_path}/b/test"
    assert main(["aux_text", "--transcripts", f"{tmp_path}/train/text", "--held_out", a, b, "--sources", f"{tmp_path}/more.txt",
                 "--out", f"{tmp_path}/out"]) == 0  # fmt: skip
    assert list(read_table(tmp_path / "out/text", ordered=True).values()) == ["今天天气很好", "昨天没有下雨"]
    report = json.loads((tmp_path / "out/leakage.json").read_text(encoding="utf-8"))
    assert report["left_out_of_sources"]["exact"] == {a: 1, b: 1}
