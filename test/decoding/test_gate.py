"""The gate: for every bridge and every search, alone = batched = any order = sharded = stopped and resumed, token for token."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoConfig

from speechlm.bin.assemble import make_dataset
from speechlm.bin.main import main
from speechlm.bridges import KINDS
from speechlm.data.collate import collate
from speechlm.data.dataset import SpeechDataset
from speechlm.decoding.decode import decode_job
from speechlm.decoding.parts import Part
from speechlm.decoding.recognizer import Recognizer, load_recognizer
from speechlm.io.expdir import ExpDir
from test.data import corpus
from test.families.checkpoints import tiny_checkpoint

OPTIONS = {"linear": {"stride": 2}, "conv_transformer": {"heads": 2}, "query": {"heads": 2}, "ctc_compress": {"threshold": 0.9},
           "ctc_lookup": {"mode": "prob_threshold"}}  # fmt: skip
SEARCHES: dict[str, dict[str, Any]] = {
    "beam": {"beam": 4, "nbest": 2, "no_repeat_ngram": 3, "no_repeat_unit": "character", "repetition_penalty": 1.2,
             "length_penalty": 0.7, "valid_text": True, "ctc_weight": 0.4},
    "greedy": {"beam": 1, "no_repeat_ngram": 3},
    "drafted": {"beam": 1, "no_repeat_ngram": 3, "draft": "ctc"},
    "ctc-beam": {"kind": "ctc", "beam": 4, "nbest": 2},
    "ctc-greedy": {"kind": "ctc", "beam": 1},
}  # fmt: skip
Found = dict[str, list[tuple[list[int], str]]]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny experiment with this bridge, trained for some steps so that answers differ."""
    place = tmp_path_factory.mktemp(request.param)
    data, llm = corpus.make(place / "data/dev"), str(tiny_checkpoint("llama"))
    assert main(["tokens", "--kind", "char", "--language", "en", "--text", f"{data}/text", "--out", f"{place}/lang"]) == 0
    values = {
        "text": {"language": "en", "tokens": f"{place}/lang"},
        "features": {"num_mels": 20, "cmvn": "utterance"},
        "encoder": {"kind": "conv", "dim": AutoConfig.from_pretrained(llm).hidden_size},
        "head": {"kind": "ctc"},
        "bridge": {"kind": request.param, **OPTIONS.get(request.param, {})},
        "llm": {"kind": "causal", "checkpoint": llm, "adapt": "full"},
        "losses": [{"kind": "lm"}, {"kind": "ctc"}],
        "data": {"train": [str(data)], "batch_seconds": 3},
        "optim": {"steps": 10, "lr": 3e-3},
        "train": {"tensorboard": False},
        "decode": {"max_tokens_per_second": 12, "batch_seconds": 4},
        "score": {"unit": "char"},
    }
    (place / "x.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", "--config", f"{place}/x.yaml", "--out", f"{place}/exp/x"]) == 0
    return place


def batched(recognizer: Recognizer, data: SpeechDataset, order: list[int], size: int) -> Found:
    batches = [collate([data.read(index, 0) for index in order[i : i + size]]) for i in range(0, len(order), size)]
    found = dict(recognizer.stream(batches))
    return {data.ids[index]: [(r.tokens, r.text) for r in found[number]] for number, index in enumerate(order)}


def of_parts(*parts: Part) -> Found:
    return {utt: [(h["tokens"], h["text"]) for h in entry["nbest"]] for part in parts for utt, entry in part.done.items()}


@pytest.mark.parametrize("search", SEARCHES)
def test_nothing_depends_on_what_is_decoded_beside_it(folder: Path, search: str, tmp_path: Path) -> None:
    exp = ExpDir(folder / "exp/x")
    data = make_dataset(folder / "data/dev", exp.read_options(), exp, training=False)

    def recognizer(**more: Any) -> Recognizer:
        return load_recognizer(exp.path, {**SEARCHES[search], **more}, "cpu")[0]

    order = list(range(len(data)))
    alone = batched(recognizer(batch_slots=1), data, order, 1)
    assert len(alone) == len(data)
    random.Random(search).shuffle(order)
    assert batched(recognizer(batch_slots=5), data, order, len(order)) == alone
    assert batched(recognizer(batch_slots=3), data, order[::-1], 4) == alone
    parts = [Part(tmp_path / f"{job}-of-2", {}) for job in (1, 2)]
    for job, part in enumerate(parts, start=1):
        decode_job(recognizer(), data, part, job, 2)
    assert all(part.done for part in parts) and of_parts(*parts) == alone
    lines = parts[0].path.read_text(encoding="utf-8").splitlines(keepends=True)
    parts[0].path.write_text("".join(lines[:2]) + lines[2][:9], encoding="utf-8")  # stopped in the middle of a line
    resumed = Part(parts[0].path, {})
    assert len(resumed.done) < len(parts[0].done)
    decode_job(recognizer(), data, resumed, 1, 2)
    assert of_parts(resumed, parts[1]) == alone
