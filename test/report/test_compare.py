"""Two systems side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.report.compare import common_sets, compare, display_width, rows, text_report
from test.report.experiment import hypothesis, make_data, score_folder


def mended(place: int, words: list[str]) -> list[str]:
    """Make one utterance in eight better than `hypothesis` does, and one worse."""
    if place == 3:
        return ["oops", *words]
    return words if place % 8 == 0 else hypothesis(place, words)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    data = make_data(tmp_path / "data/test", 200, audio=0)
    return score_folder(data, tmp_path / "exp/a/decode_test"), score_folder(data, tmp_path / "exp/b/decode_test", mended)


def test_rates_differences_and_significance(pair: tuple[Path, Path]) -> None:
    found = compare(*pair)
    assert found.utterances == 200 and found.rates[1] < found.rates[0]
    gap = found.paired.difference
    assert gap.mean == pytest.approx(found.rates[1] - found.rates[0])
    assert gap.low < gap.mean < gap.high < 0 and found.paired.p < 0.05
    assert len(found.worse) == 1 and len(found.better) == 25
    assert found.differences[0].first.id == "s0-u00000" and found.differences[0].change == -30
    assert found.paired.p < found.p_matched < 0.5  # one utterance that ran away makes the normal test unsure


def test_the_command_lists_both_sides(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["compare", str(pair[0]), str(pair[1]), "--show", "2"]) == 0
    text = capsys.readouterr().out
    assert "B is better at the 5 % level" in text
    assert "== BETTER in B: 2 of 25" in text and "== WORSE in B: 1 of 1" in text
    worse = text.split("== WORSE")[1]
    assert "errors 0 -> 1" in worse and "[oops]" in worse
    assert main(["compare", str(pair[0].parent), str(pair[1].parent), "--show", "0", "--out", str(tmp_path / "t")]) == 0
    assert "== BETTER in B: 0 of 25" in (tmp_path / "t").read_text()  # experiments: every set that both have
    assert main(["compare", str(pair[0]), str(pair[1]), "--show", "-1"]) == 1


def test_a_system_is_equal_to_itself(pair: tuple[Path, Path]) -> None:
    found = compare(pair[0], pair[0])
    assert found.differences == [] and found.paired.p == 1.0 and found.p_matched == 1.0
    assert "no difference can be told" in text_report(found, 5)


def test_what_cannot_be_compared(pair: tuple[Path, Path], tmp_path: Path) -> None:
    data = tmp_path / "data/test"
    other = score_folder(data, tmp_path / "exp/c/decode_test", unit="char")
    with pytest.raises(UserError, match="are scored with unit word and char"):
        compare(pair[0], other)
    with pytest.raises(UserError, match="not scored yet"):
        compare(pair[0], tmp_path)
    lines = (data / "text").read_text().splitlines(keepends=True)
    (data / "text").write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match="the utterances differ at .* and the end"):
        compare(pair[0], score_folder(data, tmp_path / "exp/d/decode_test"))
    (data / "text").write_text("".join([lines[0].rstrip("\n") + " more\n", *lines[1:]]))
    with pytest.raises(UserError, match="the references of 's0-u00000' differ"):
        compare(pair[0], score_folder(data, tmp_path / "exp/e/decode_test"))
    with pytest.raises(UserError, match="no decode folder of one name"):
        common_sets(pair[0].parent, tmp_path)


def test_rows_are_even_for_wide_characters() -> None:
    above, below = rows("A", [("今", "今"), ("天", None), (None, "好"), ("bad", "b")])
    assert above == "  A ref  今 天  ***  bad"
    assert below == "  A hyp  今 *** [好] [b]"
    assert [display_width(text) for text in ("a今", "***")] == [3, 3]
