"""Kaldi's own files of the same utterances, byte by byte."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.scoring.align import Alignment, Rows, Vocabulary
from speechlm.scoring.kaldi import centre, read_per_utt
from speechlm.scoring.ops import Ops
from speechlm.scoring.score import Score, Settings, score
from test.paths import shared


@pytest.fixture(scope="module")
def oracle() -> Path:
    return shared("oracle/kaldi")


@pytest.fixture(scope="module")
def present(oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Score]:
    """Score the utterances that have a hypothesis: Kaldi's detailed reports know no others."""
    folder = tmp_path_factory.mktemp("present")
    ids = {line.split()[0] for line in (oracle / "hyp.txt").read_text().splitlines()}
    refs = (oracle / "ref.txt").read_text().splitlines(keepends=True)
    (folder / "ref").write_text("".join(line for line in refs if line.split()[0] in ids))
    settings = Settings(sclite="never")
    return folder, score(folder / "ref", oracle / "hyp.txt", folder / "out", oracle / "utt2spk_text", settings)


@pytest.mark.parametrize("name", ["per_utt", "per_spk", "ops"])
def test_details_are_kaldis_bytes(oracle: Path, present: tuple[Path, Score], name: str) -> None:
    ours = (present[0] / "out/scoring_kaldi/wer_details" / name).read_bytes()
    packed = oracle / f"{name}.gz"
    theirs = gzip.decompress(packed.read_bytes()) if packed.exists() else (oracle / name).read_bytes()
    assert ours == theirs


def lines_of(path: Path) -> list[str]:
    """Read compute-wer's lines without the echo of its command."""
    return [line.strip() for line in path.read_text().splitlines() if not line.startswith("compute-wer")]


def test_compute_wer_of_all_counts_missing_hypotheses_as_deletions(oracle: Path, tmp_path: Path) -> None:
    out = tmp_path / "exp/x/decode_test"
    found = score(oracle / "ref.txt", oracle / "hyp.txt", out, None, Settings(sclite="never", tag="beam4"))
    assert lines_of(out / "wer_beam4") == lines_of(oracle / "compute-wer_all.txt")
    assert (out / "scoring_kaldi/wer_beam4").read_text() == (out / "wer_beam4").read_text()
    best = (out / "scoring_kaldi/best_wer").read_text()
    assert best == f"{lines_of(oracle / 'compute-wer_all.txt')[0]} {out}/wer_beam4\n"
    assert (out / "scoring_kaldi/missing_utts").read_text().split() == found.missing
    assert len(found.missing) == 10
    names = {utt.id for utt in read_per_utt(out / "scoring_kaldi/wer_details/per_utt")}
    assert set(found.missing) <= names  # listed, never dropped


def test_compute_wer_of_present(oracle: Path, present: tuple[Path, Score]) -> None:
    theirs = lines_of(oracle / "compute-wer_present.txt")
    ours = lines_of(present[0] / "out/wer_best")
    assert ours[:2] == [theirs[0].removesuffix(" [PARTIAL]"), theirs[1]]


def test_bootstrap_interval_is_compute_wer_bootcis(present: tuple[Path, Score]) -> None:
    line = (present[0] / "out/scoring_kaldi/wer_details/wer_bootci").read_text()
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", line)]
    assert line.startswith("Set1: %WER 12.04 95% Conf Interval [ ")
    assert numbers == pytest.approx([12.04, 11.64, 12.44], abs=0.011)


def test_per_utt_is_read_back(present: tuple[Path, Score]) -> None:
    found = list(read_per_utt(present[0] / "out/scoring_kaldi/wer_details/per_utt"))
    assert len(found) == 1990
    assert sum(one.counts.errors for one in found) == 3058
    assert found[0].pairs[-1] == (None, "w71")


def test_scored_again_with_another_tag(oracle: Path, tmp_path: Path) -> None:
    for tag in ("greedy", "beam4", "beam4"):
        score(oracle / "ref.txt", oracle / "hyp.txt", tmp_path, None, Settings(sclite="never", tag=tag))
    assert sorted(path.name for path in (tmp_path / "scoring_kaldi").glob("wer_*[!s]")) == ["wer_beam4", "wer_greedy"]


def test_centre_puts_the_odd_blank_left() -> None:
    assert [centre("C", width) for width in (1, 2, 3, 4)] == ["C", " C", " C ", "  C "]


def test_ops_of_many_blocks_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = Vocabulary()
    ids = vocabulary.encode([["a", "b", "c"]]).row(0)
    whole, parts = Ops(vocabulary), Ops(vocabulary)
    for number in range(200):
        ref = [ids[number % 3], ids[number % 2]]
        left, right = ref.copy(), ref.copy()
        if number % 5 == 0:
            right[0] = 0
        elif number % 7 == 0:
            left, right = [0, *left], [ids[1], *right]
        found = Alignment(left, right, [0] if left != right else [])
        whole.add(Rows.of([ref]), [found])
        monkeypatch.setattr("speechlm.scoring.ops.EVENTS", 3)
        parts.add(Rows.of([ref]), [found])
        monkeypatch.undo()
    assert list(whole.rows()) == list(parts.rows())
    assert sum(much for op, _, _, much in whole.rows() if op in ("correct", "deletion")) == 400


def test_a_broken_per_utt_is_named(tmp_path: Path) -> None:
    (tmp_path / "per_utt").write_text("u ref  a b\nu hyp  a\nu op   C\nu #csid 1 0 0 0\n")
    with pytest.raises(UserError, match="per_utt:4: the rows of 'u'"):
        list(read_per_utt(tmp_path / "per_utt"))
    with pytest.raises(UserError, match="no such file"):
        list(read_per_utt(tmp_path / "none"))
