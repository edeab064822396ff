"""Scores by stm and glm: sctk's counts are ours where nothing is optional, and NIST's rules hold where something is."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.corpora.base import prepare
from speechlm.corpora.swbd import SwbdCorpus
from speechlm.io.datadir import DataDir
from speechlm.io.tables import write_table
from speechlm.scoring.hub5 import Sums, ctm_lines, score_hub5
from speechlm.scoring.sclite import find_sclite
from speechlm.scoring.score import Settings, score
from test.corpora import telephone

needs_sclite = pytest.mark.skipif(find_sclite() is None, reason="sclite is not installed (tools/install_sctk.sh)")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub5")
    corpus = SwbdCorpus(telephone.eval2000(telephone.rt03(folder)))
    prepare(corpus, ["eval2000", "rt03"], folder / "data")
    return folder / "data"


def test_words_share_the_time_of_their_utterance() -> None:
    segments = {"b": "sw_1 0.5 1.5 1", "a": "en_2 0.0 0.9 0"}
    lines = ctm_lines({"b": "uh huh yes", "a": ""}, segments, ("A", "B"))
    assert lines == ["sw_1 B 0.500 0.500 uh-huh\n", "sw_1 B 1.000 0.500 yes\n"]
    with pytest.raises(UserError, match="hypothesis 'c': has no line in segments"):
        ctm_lines({"c": "x"}, segments, ("1", "2"))


@needs_sclite
def test_sclite_counts_are_ours(data: Path, tmp_path: Path) -> None:
    """A substitution, an insertion and a deletion in every kind of recording; nothing optional is touched."""
    text = dict(DataDir(data / "eval2000").text or {})
    hyps = {utt: " ".join(["wrong", *words.split()[1:-1]]) for utt, words in text.items()}
    hyps["sw_4390-B_000250-000340"] += " dog more"
    hyps["en_4156-B_000130-000210"] = "uh huh and you"
    write_table(tmp_path / "text", hyps)
    found = score_hub5(data / "eval2000", tmp_path)
    ours = score(data / "eval2000/text", tmp_path / "text", tmp_path / "ours", None,
                 Settings(language="en", glm=data / "eval2000/glm_plain", sclite="never")).tally  # fmt: skip
    assert list(found) == ["all", "en", "sw"]
    whole = found["all"]
    errors = (ours.substitutions, ours.deletions, ours.insertions)
    assert (whole.substitutions, whole.deletions, whole.insertions) == errors and whole.errors == ours.errors == 8
    # NIST counts an optional word that is left out as a word that is right: two hesitations and a partial word.
    assert whole.words - 3 == ours.words
    assert whole.errors == found["en"].errors + found["sw"].errors and whole.words == found["en"].words + found["sw"].words
    assert whole.line.startswith(f"%WER {100 * whole.errors / whole.words:.2f} [ {whole.errors} / {whole.words}, ")


@needs_sclite
def test_hesitations_and_the_mapping_are_forgiven(data: Path, tmp_path: Path) -> None:
    text = dict(DataDir(data / "eval2000").text or {})
    text["en_4156-A_000020-000120"] = "um yeah i like the weather"  # any hesitation for any other
    text["en_4156-A_000220-000300"] = "that is my dog"
    write_table(tmp_path / "text", text)
    assert score_hub5(data / "eval2000", tmp_path)["all"].errors == 0


@needs_sclite
def test_sides_with_numbers(data: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "text", {**(DataDir(data / "rt03").text or {}), "fsh_60262-B_000130-000250": "yeah we do so"})
    found = score_hub5(data / "rt03", tmp_path)
    assert found == {"all": Sums(2, 7, 1, 0, 1)}


def test_what_is_missing_is_told(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "text", {})
    monkeypatch.setattr("speechlm.scoring.hub5.find_sclite", lambda: Path("/usr/bin/sclite"))
    with pytest.raises(UserError, match="stm: no such file; stage 0 writes it"):
        score_hub5(tmp_path, tmp_path)
    monkeypatch.setattr("speechlm.scoring.hub5.find_sclite", lambda: None)
    with pytest.raises(UserError, match="sclite is not installed"):
        score_hub5(data / "eval2000", tmp_path)


def test_without_sctk_the_command_says_so_and_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("speechlm.scoring.sclite.find_sclite", lambda: None)
    assert main(["score_hub5", "--data", str(data / "eval2000"), "--decode", str(tmp_path)]) == 0
    assert "sctk is not installed" in capsys.readouterr().out and not (tmp_path / "scoring_hub5").exists()
