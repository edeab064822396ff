"""A trained experiment's decoding from end to end: streaming, another LM, drafts, hot words; nothing depends on the batch."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.nn.functional import ctc_loss
from transformers import AutoModelForCausalLM

import speechlm.decoding.aids
import speechlm.decoding.recognizer
from speechlm.bin.assemble import make_dataset
from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.data.collate import collate
from speechlm.data.dataset import SpeechDataset
from speechlm.decoding.aid_options import AidOptions, aid_options, without_idle
from speechlm.decoding.answers import character_units
from speechlm.decoding.decode import decode_job
from speechlm.decoding.parts import Part
from speechlm.decoding.recognizer import Recognizer, Result, load_recognizer
from speechlm.io.expdir import ExpDir
from speechlm.llms.tiny import make_tiny_llm
from speechlm.llms.tokenizer import load_llm_tokenizer
from speechlm.text.tokens import CharTokenizer
from test.data import corpus
from test.families.checkpoints import tiny_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trained speech LLM with a CTC head on characters, its data, its LLM as an LM, and a list of hot words."""
    place = tmp_path_factory.mktemp("engine")
    data = corpus.make(place / "data/dev")
    words = ["tokens", "--kind", "char", "--language", "en", "--text", f"{data}/text", "--out", f"{place}/lang"]
    assert main(words) == 0
    values = {
        "text": {"language": "en", "tokens": f"{place}/lang"},
        "features": {"num_mels": 20, "cmvn": "utterance"},
        "encoder": {"kind": "conv"},
        "head": {"kind": "ctc"},
        "llm": {"kind": "causal", "checkpoint": str(tiny_checkpoint("llama")), "adapt": "full"},
        "losses": [{"kind": "lm"}, {"kind": "ctc"}],
        "data": {"train": [str(data)], "batch_seconds": 3},
        "optim": {"steps": 12, "lr": 3e-3},
        "train": {"tensorboard": False},
        "decode": {"max_tokens_per_second": 12, "batch_seconds": 4},
        "score": {"unit": "char"},
    }
    (place / "x.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", "--config", f"{place}/x.yaml", "--out", f"{place}/exp/x"]) == 0
    assert main(["export", f"{place}/exp/x", "--llm", f"{place}/lm"]) == 0
    (place / "hot").write_text("he\t2\nthe\nat\t0.5\n", encoding="utf-8")
    return place


def everything(folder: Path) -> dict[str, Any]:
    return {"beam": 4, "nbest": 2, "no_repeat_ngram": 3, "no_repeat_unit": "character", "valid_text": True, "ctc_weight": 0.4,
            "lm": f"{folder}/lm", "lm_weight": 0.3, "hot_words": f"{folder}/hot", "hot_weight": 0.5}  # fmt: skip


def recognizer_of(folder: Path, **decode: Any) -> Recognizer:
    return load_recognizer(folder / "exp/x", decode, "cpu")[0]


def dataset_of(folder: Path) -> SpeechDataset:
    exp = ExpDir(folder / "exp/x")
    return make_dataset(folder / "data/dev", exp.read_options(), exp, training=False)


def same(one: list[Result], other: list[Result]) -> None:
    assert [r.tokens for r in one] == [r.tokens for r in other]
    assert [r.text for r in one] == [r.text for r in other]
    assert [r.score for r in one] == pytest.approx([r.score for r in other], abs=1e-4)
    assert [r.ctc for r in one] == [r.ctc for r in other]


@pytest.mark.parametrize(
    "extra", [{}, {"beam": 1, "draft": "ctc", "no_repeat_ngram": 2, "min_tokens": 8}], ids=["everything", "drafted"]
)
def test_a_job_streams_and_is_the_same_alone_in_any_order_and_number_of_slots(
    folder: Path, extra: dict[str, Any]
) -> None:
    decode = extra or everything(folder)
    data = dataset_of(folder)
    alone = recognizer_of(folder, **decode)
    order = [index % len(data) for index in range(2 * len(data))]  # each twice, as if the corpus were longer
    truth = [alone.recognize(collate([data.read(index, 0)]))[0] for index in range(len(data))]
    assert len({tuple(row[0].tokens) for row in truth}) > 1
    for slots, size in ((1, 3), (2, 1), (3, 4), (16, 10)):
        random.Random(slots).shuffle(order)
        batches = [collate([data.read(index, 0) for index in order[i : i + size]]) for i in range(0, len(order), size)]
        found = dict(recognizer_of(folder, **decode, batch_slots=slots).stream(batches))
        assert sorted(found) == list(range(len(order)))
        for number, index in enumerate(order):
            same(found[number], truth[index])


def test_slots_are_refilled_over_the_whole_job(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is one stream for all batches; an answer is written before the last batch is read; a stopped job goes on."""
    data, made = dataset_of(folder), recognizer_of(folder, batch_slots=2, batch_seconds=0.1)
    streams, read = [], []
    whole, reading = made.answers.stream, data.read
    monkeypatch.setattr(made.answers, "stream", lambda batches: streams.append(1) or whole(batches))
    monkeypatch.setattr(data, "read", lambda index, epoch: read.append(data.ids[index]) or reading(index, epoch))
    part, early = Part(tmp_path / "part", {}), []
    add = part.add
    monkeypatch.setattr(part, "add", lambda entries: early.append(len(read)) or add(entries))
    decode_job(made, data, part, 1, 1)
    assert len(streams) == 1 and sorted(read) == sorted(data.ids) == sorted(part.done)
    assert early[0] < len(data) and early == sorted(early)
    assert all(set(entry["phases"]) == {"encode", "prefill", "decode"} for entry in part.done.values())
    assert sum(entry["phases"]["encode"] for entry in part.done.values()) > 0
    lines = part.path.read_text().splitlines(keepends=True)
    part.path.write_text("".join(lines[:3]))
    read.clear()
    again = Part(part.path, {})
    decode_job(made, data, again, 1, 1)
    assert len(read) == len(data) - 2
    tokens = {name: [h["tokens"] for h in entry["nbest"]] for name, entry in part.done.items()}
    assert {name: [h["tokens"] for h in entry["nbest"]] for name, entry in again.done.items()} == tokens


@pytest.mark.parametrize("ctc_weight", [0.0, 0.6])
def test_a_score_is_the_sum_of_its_parts(folder: Path, ctc_weight: float) -> None:
    """The LLM's, the other LM's and the CTC head's log probabilities, each by a plain pass over the whole answer."""
    made = recognizer_of(
        folder, lm=f"{folder}/lm", lm_weight=0.5, ctc_weight=ctc_weight, beam=4, nbest=4, length_penalty=-1.0
    )
    model, lm = made.model, AutoModelForCausalLM.from_pretrained(folder / "lm")
    data, end, tokenizer = dataset_of(folder), made.model.prompt.end[0], load_llm_tokenizer(str(folder / "lm"))
    units_of = character_units(made.witness.tokenizer)
    checked = 0
    for index in range(len(data)):
        batch = collate([data.read(index, 0)])
        for result in made.recognize(batch)[0]:
            text = [*result.tokens, end]
            with torch.inference_mode():
                output = model.encode(batch.speech)
                prompt = model.prompts(output.speech_embeddings).data[0]
                rows = torch.cat([prompt, model.llm.embed(torch.tensor(result.tokens, dtype=torch.int64))])
                own = model.llm.causal_lm(inputs_embeds=rows[None]).logits[0, len(prompt) - 1 :].log_softmax(-1)
                ids = torch.tensor([[made.model.prompt.before[0], *result.tokens]])
                other = lm(ids).logits[0].log_softmax(-1)
                raw = "".join(tokenizer.convert_ids_to_tokens(result.tokens, skip_special_tokens=True)).lstrip()
                units = torch.tensor(units_of(raw))
                heard = output.ctc_logits.data.log_softmax(-1).transpose(0, 1)
                ctc = -ctc_loss(heard, units[None], [len(heard)], [len(units)], reduction="sum").item()
            joint = sum(own[i, token].item() + 0.5 * other[i, token].item() for i, token in enumerate(text))
            joint += ctc_weight * ctc if ctc_weight else 0.0
            limit = made.answers.options.max_tokens(float(batch.seconds[0]))
            if len(result.tokens) < limit:  # else it was cut and has no end
                assert result.score == pytest.approx(joint / len(text) ** -1.0, rel=1e-4, abs=1e-3)
                checked += bool(result.tokens)
    assert checked > 5


def test_units_of_pieces_are_those_of_the_text() -> None:
    """However a tokenizer cuts it; the normaliser alone would lose blanks and apostrophes at the cuts."""
    text = "don't stop now"
    tokenizer = CharTokenizer.build([text], language="en")
    for cuts in ((1,), (3, 4, 5), (5, 6, 10, 11), tuple(range(1, len(text)))):
        ends = [0, *cuts, len(text)]
        pieces = [text[start:end] for start, end in zip(ends, ends[1:], strict=False)]
        assert [unit for piece in pieces for unit in character_units(tokenizer)(piece)] == tokenizer.encode(text)
    assert character_units(tokenizer)("n[") == [*tokenizer.encode("n"), 1]  # what no normalised text has is not free


def test_weight_0_is_off(folder: Path) -> None:
    batch = collate([dataset_of(folder).read(index, 0) for index in range(3)])
    plain, off, on = (recognizer_of(folder, **extra).recognize(batch) for extra in (
        {}, {"lm": f"{folder}/lm", "lm_weight": 0.0}, {"lm": f"{folder}/lm", "lm_weight": 0.4}))  # fmt: skip
    assert off == plain
    assert [row[0].score for row in on] != [row[0].score for row in plain]


def test_what_cannot_be_honoured_is_refused(folder: Path, tmp_path: Path) -> None:
    make_tiny_llm(tmp_path / "other", ["別"], architecture="gpt2", dim=16, layers=1, heads=2)
    lm, hot = f"{folder}/lm", f"{folder}/hot"
    for decode, message in (
        (
            {"kind": "ctc", "lm": lm, "lm_weight": 0.3},
            "decode.lm_weight: only the LLM's search has it, this is the ctc search",
        ),
        ({"kind": "ctc", "hot_words": hot}, "decode.hot_words: only the LLM's search has it"),
        ({"kind": "ctc", "beam": 1, "draft": "ctc"}, "decode.draft: only the LLM's search has it"),
        ({"lm_weight": 0.3}, "decode.lm_weight: is 0.3, but decode.lm names no LM"),
        ({"lm": str(tmp_path / "other"), "lm_weight": 0.3}, "its tokens are not those of the experiment's LLM"),
        ({"draft": "ctc"}, "decode.draft: verifies greedy search only; set decode.beam to 1, is 4"),
        ({"draft": "ctc", "beam": 1, "ctc_weight": 0.1}, "decode.draft: cannot be had together with decode.ctc_weight"),
        ({"draft": "ctc", "beam": 1, "lm": lm, "lm_weight": 0.1}, "together with decode.lm_weight"),
        ({"draft": "ctc", "beam": 1, "hot_words": hot}, "together with decode.hot_words"),
        ({"hot_words": hot, "hot_weight": 0.0}, "decode.hot_weight: must be above 0"),
        ({"hot_words": f"{folder}/nothing"}, "decode.hot_words: .*no such file"),
    ):
        with pytest.raises(UserError, match=message):
            recognizer_of(folder, **decode)
    made = recognizer_of(folder)
    for extra in ({"draft": "ctc", "beam": 1}, {"lm": lm, "lm_weight": 0.2}, {"hot_words": hot}):
        with pytest.raises(ValueError, match="was not loaded"):
            Recognizer(made.model, {**made.decode, **extra}, words=made.words, witness=made.witness, kind="llm")
    with pytest.raises(UserError, match="decode.draft: needs an experiment with a CTC head"):
        Recognizer(made.model, {**made.decode, "draft": "ctc", "beam": 1}, words=made.words, aids=made.aids, kind="llm")


def run(folder: Path, name: str, *words: str) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Decode by the command line; give stats.json and the best tokens."""
    out = folder / f"exp/x/decode_{name}"
    decode = ["decode", "--exp", f"{folder}/exp/x", "--data", f"{folder}/data/dev", "--out", str(out), *words]
    for job in ("1", "2"):
        assert main([*decode, "--job", job, "--num_jobs", "2"]) == 0
    assert main([*decode, "--merge", "2"]) == 0
    entries = [json.loads(line) for line in (out / "nbest.jsonl").read_text(encoding="utf-8").splitlines()]
    return json.loads((out / "stats.json").read_text()), {entry["id"]: entry["nbest"][0]["tokens"] for entry in entries}


def test_a_draft_saves_passes_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, without = run(folder, "greedy", "--decode.beam", "1")
    drafted, tokens = run(folder, "drafted", "--decode.beam", "1", "--decode.draft", "ctc")
    assert tokens == without and plain["draft"] == {}
    assert 0 < drafted["draft"]["passes"] <= drafted["draft"]["without"]
    assert f"drafts: {drafted['draft']['passes']} forward passes of the LLM instead of" in capsys.readouterr().out


def test_hot_words_are_counted_and_their_file_is_a_part_of_the_job(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hot").write_text("he\n", encoding="utf-8")
    words = ["--decode.hot_words", f"{tmp_path}/hot", "--decode.hot_weight", "6"]
    plain, _ = run(folder, "cold")
    stats, _ = run(folder, "hot", *words)
    assert plain["hot_words"] == {} and stats["hot_words"]["utterances"] == 5
    texts = (folder / "exp/x/decode_hot/text").read_text(encoding="utf-8").splitlines()
    written = (folder / "data/dev/text").read_text(encoding="utf-8").lower()
    assert " he " not in written  # so that whatever has it is a leak
    leaked = sum("he" in line.split()[1:] for line in texts)
    assert stats["hot_words"]["leaked"] == leaked > 0
    assert f"leaked into {leaked} of 5 utterances" in capsys.readouterr().out
    (tmp_path / "hot").write_text("she\n", encoding="utf-8")
    out = folder / "exp/x/decode_hot"
    again = ["decode", "--exp", f"{folder}/exp/x", "--data", f"{folder}/data/dev", "--out", str(out), *words]
    assert main([*again, "--merge", "2"]) == 1
    assert "not decoded with this model and these options" in capsys.readouterr().err


def test_tuning_varies_the_weight_and_loads_the_lm_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, load = [], speechlm.decoding.aids.load_lm
    monkeypatch.setattr(speechlm.decoding.aids, "load_lm", lambda *given: loaded.append(1) or load(*given))
    words = ["tune", f"{folder}/exp/x", "--data", f"{folder}/data/dev", "--out", f"{folder}/tune"]
    assert main([*words, "--decode.lm", f"{folder}/lm", "--grid", "beam=1,2", "lm_weight=0,0.5,2"]) == 0
    rows = (folder / "tune/table.tsv").read_text().splitlines()
    assert len(rows) == 7 and len(loaded) == 1 and "lm_weight" in rows[0]
    assert "lm_weight" in yaml.safe_load((folder / "tune/best.yaml").read_text())["decode"]


def test_what_is_off_is_not_told() -> None:
    off = {"beam": 4, **asdict(AidOptions())}
    assert without_idle(off) == {"beam": 4, "draft": "none"}
    assert without_idle(off) == {"beam": 4, "draft": "none"}
    on = {**off, "lm": "x", "lm_weight": 0.1, "hot_words": "y", "hot_prompt": True}
    assert without_idle(on) == on
    assert without_idle({**on, "hot_prompt": False}).keys() == on.keys() - {"hot_prompt", "hot_distance", "hot_most"}
    assert aid_options({"beam": 4}) == AidOptions()  # an experiment of before there were any


def test_several_sets_in_one_call_are_as_many_calls(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone, _ = run(folder, "greedy", "--decode.beam", "1")
    copy_small = tmp_path / "small"  # one utterance: the second of two jobs has nothing to do for it
    copy_small.mkdir()
    for table in (folder / "data/dev").iterdir():
        if table.is_file():
            kept = table.read_bytes() if table.suffix == ".ark" else table.read_bytes().splitlines(keepends=True)[0]
            (copy_small / table.name).write_bytes(kept)
    loads, load = [], speechlm.decoding.recognizer.load_recognizer
    monkeypatch.setattr(speechlm.decoding.recognizer, "load_recognizer", lambda *given: loads.append(1) or load(*given))
    outs = [str(tmp_path / "decode_dev"), str(tmp_path / "decode_small")]
    data = [f"{folder}/data/dev", str(copy_small)]
    words = ["decode", "--exp", f"{folder}/exp/x", "--data", *data, "--out", *outs, "--decode.beam", "1"]
    for job in ("1", "2"):
        assert main([*words, "--job", job, "--num_jobs", "2"]) == 0
    assert main([*words, "--merge", "2"]) == 0
    assert len(loads) == 2
    for name in ("text", "score"):
        assert (tmp_path / "decode_dev" / name).read_bytes() == (folder / "exp/x/decode_greedy" / name).read_bytes()
        first = (tmp_path / "decode_dev" / name).read_text().splitlines()[0]
        assert (tmp_path / "decode_small" / name).read_text().splitlines() == [first]
    assert json.loads((tmp_path / "decode_small/stats.json").read_text())["utterances"] == 1 < alone["utterances"]
    assert main([*words[:5], "--out", *outs]) == 1
    assert "--out: 2 folders for 1 data directories" in capsys.readouterr().err
