"""`speechlm tune`: every point of the grid is decoded, the cheapest is written down, and decoding takes it over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import speechlm.bin.tune
from speechlm.bin.main import main
from speechlm.bin.tune import grid_points
from speechlm.core.errors import UserError
from speechlm.decoding.recognizer import Recognizer, load_recognizer
from speechlm.report.facts import facts_of
from speechlm.report.surface import surface, write_section
from test.data import corpus
from test.families.checkpoints import tiny_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trained speech LLM with a CTC head on characters, and its data."""
    place = tmp_path_factory.mktemp("tune")
    data = corpus.make(place / "data/dev")
    assert (
        main(["tokens", "--kind", "char", "--language", "en", "--text", f"{data}/text", "--out", f"{place}/lang"]) == 0
    )
    values = {
        "text": {"language": "en", "tokens": f"{place}/lang"},
        "features": {"num_mels": 20, "cmvn": "utterance"},
        "encoder": {"kind": "conv"},
        "head": {"kind": "ctc"},
        "llm": {"kind": "causal", "checkpoint": str(tiny_checkpoint("llama")), "adapt": "full"},
        "losses": [{"kind": "lm"}, {"kind": "ctc"}],
        "data": {"train": [str(data)], "batch_seconds": 3},
        "optim": {"steps": 3, "lr": 1e-3},
        "train": {"tensorboard": False},
        "decode": {"max_tokens_per_second": 20},
        "score": {"unit": "char"},
    }
    (place / "x.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", "--config", f"{place}/x.yaml", "--out", f"{place}/exp/x"]) == 0
    return place


def tune(folder: Path, *words: str) -> int:
    return main(["tune", f"{folder}/exp/x", "--data", f"{folder}/data/dev", *words])


def test_grid_points() -> None:
    assert grid_points(["beam=1,2", "length_penalty=-1"]) == [
        ["--decode.beam=1", "--decode.length_penalty=-1"], ["--decode.beam=2", "--decode.length_penalty=-1"],
    ]  # fmt: skip
    for wrong in ("beam", "beam=", "beam=1,,2"):
        with pytest.raises(UserError, match="write OPTION=VALUE,VALUE"):
            grid_points([wrong])


def test_the_choice_is_written_down_and_taken_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = ["--grid", "no_repeat_ngram=0,1", "length_penalty=-2,2", "--results", f"{folder}/RESULTS.md"]
    assert tune(folder, *grid, "--decode.beam", "2") == 0
    out = folder / "exp/x/tune_dev"
    names, *lines = [line.split("\t") for line in (out / "table.tsv").read_text().splitlines()]
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    assert [(row["no_repeat_ngram"], row["length_penalty"]) for row in rows] == [
        ("0", "-2.0"), ("0", "2.0"), ("1", "-2.0"), ("1", "2.0"),
    ]  # fmt: skip
    cost = [int(row["ins"]) + int(row["del"]) + int(row["sub"]) for row in rows]
    best = yaml.safe_load((out / "best.yaml").read_text())
    first = rows[cost.index(min(cost))]
    assert best["decode"] == {
        "beam": 2, "no_repeat_ngram": int(first["no_repeat_ngram"]), "length_penalty": float(first["length_penalty"]),
    }  # fmt: skip
    assert best["tuned"]["data"] == [f"{folder}/data/dev"]
    # An error by hand: b-1 has no words, so all that is put out there is insertions on silence.
    assert all(0 <= int(row["silence"]) <= int(row["ins"]) for row in rows)
    page = (folder / "RESULTS.md").read_text(encoding="utf-8")
    assert page.count("**") == 2 and f"({first['ins']}/{first['del']}/{first['sub']})**" in page
    assert "| no_repeat_ngram | length_penalty = -2.0" in page

    decode = ["decode", "--exp", f"{folder}/exp/x", "--data", f"{folder}/data/dev", "--out", f"{folder}/exp/x/decode_dev",
              "--tuned", f"{out}/best.yaml"]  # fmt: skip
    assert main(decode) == 0 and main([*decode, "--merge", "1"]) == 0
    stats = json.loads((folder / "exp/x/decode_dev/stats.json").read_text())
    assert best["decode"].items() <= stats["options"].items()
    score = ["score", "--ref", f"{folder}/data/dev/text", "--hyp", f"{folder}/exp/x/decode_dev/text", "--language", "en",
             "--out", f"{folder}/exp/x/decode_dev", "--unit", "char", "--sclite", "never"]  # fmt: skip
    assert main(score) == 0
    found = json.loads((folder / "exp/x/decode_dev/scoring.json").read_text())
    assert {k: found[v] for k, v in (("ins", "insertions"), ("del", "deletions"), ("sub", "substitutions"))} == {
        k: int(first[k]) for k in ("ins", "del", "sub")
    }, "tuning and scoring must count the same errors"
    tuned = facts_of(folder / "exp/x/decode_dev").tuned
    assert tuned and "on dev" in tuned and "not used" not in tuned
    capsys.readouterr()


def test_insertions_may_cost_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([(9, 0), (0, 10), (9, 0), (0, 10)])

    def measured(*_: Any) -> dict[str, float]:
        ins, dels = next(counts)
        return {"error": ins + dels, "ins": ins, "del": dels, "sub": 0, "silence": 0}

    monkeypatch.setattr(speechlm.bin.tune, "measure", measured)
    for cost, beam in (("1", 1), ("2", 2)):
        assert tune(folder, "--grid", "beam=1,2", "--insertions", cost, "--out", f"{folder}/t") == 0
        assert yaml.safe_load((folder / "t/best.yaml").read_text())["decode"] == {"beam": beam}


def test_faults_are_told_before_decoding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--grid", "beem=1,2"], "did you mean 'beam'?"),
        (["--grid", "beam=one"], "decode.beam"),
        (["--grid", "beam=1", "--optim.lr", "3"], "only the section 'decode' may change"),
    ):
        assert tune(folder, *words) == 1
        assert message in capsys.readouterr().err


def test_the_ctc_head_is_asked_and_may_take_part(folder: Path) -> None:
    """nbest.jsonl tells what the head heard, stats.json counts the doubts; ctc_weight moves the scores."""
    scores = {}
    for name, words in (("plain", []), ("joint", ["--decode.ctc_weight", "0.7"])):
        out = folder / f"exp/x/decode_dev_{name}"
        decode = ["decode", "--exp", f"{folder}/exp/x", "--data", f"{folder}/data/dev", "--out", str(out), *words]
        assert main(decode) == 0 and main([*decode, "--merge", "1"]) == 0
        entries = [json.loads(line) for line in (out / "nbest.jsonl").read_text(encoding="utf-8").splitlines()]
        doubts = [entry["ctc"]["doubt"] for entry in entries]
        stats = json.loads((out / "stats.json").read_text())["ctc_doubts"]
        assert stats.pop("checked") == len(entries) == 5
        assert stats == {kind: doubts.count(kind) for kind in set(doubts) - {None}}
        scores[name] = [entry["nbest"][0]["score"] for entry in entries]
    assert scores["plain"] != scores["joint"]


def test_a_search_that_cannot_honour_an_option_refuses_it(folder: Path) -> None:
    for name, value in (("no_repeat_ngram", 3), ("repetition_penalty", 1.2), ("ctc_weight", 0.5), ("length_penalty", 0.0),
                        ("min_tokens", 2), ("valid_text", True)):  # fmt: skip
        with pytest.raises(UserError, match=f"^decode.{name}: only the LLM's search has it, this is the ctc search"):
            load_recognizer(folder / "exp/x", {"kind": "ctc", name: value})
    made, _ = load_recognizer(folder / "exp/x", {})
    with pytest.raises(UserError, match=r"^decode\.ctc_weight: needs an experiment with a CTC head on characters"):
        Recognizer(made.model, {**made.decode, "ctc_weight": 0.5}, units=made.units, words=made.words, kind="llm")


def test_surface_and_its_place_in_results(tmp_path: Path) -> None:
    rows = [
        {"beam": b, "nbest": n, "error": 10.0 * b + n, "ins": b, "del": n, "sub": 0} for b in (1, 4) for n in (1, 2)
    ]
    table = surface(rows, ["beam", "nbest"], rows[1])
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()][2:] == [
        ["1", "11.00 (1/1/0)", "**12.00 (1/2/0)**"], ["4", "41.00 (4/1/0)", "42.00 (4/2/0)"],
    ]  # fmt: skip
    head = surface(rows[:2], ["nbest"], rows[0]).splitlines()[0]
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["nbest = 1", "nbest = 2"]
    page = tmp_path / "RESULTS.md"
    page.write_text("# Results\n\nA remark.\n", encoding="utf-8")
    for name, text in (("a", "one"), ("b", "two"), ("a", r"three \1")):
        write_section(page, name, text)
    text = page.read_text(encoding="utf-8")
    assert "A remark." in text and "one" not in text and text.index(r"three \1") < text.index("two")
