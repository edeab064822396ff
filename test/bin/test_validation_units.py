"""The error that a training reports counts units against units where the units are a pronunciation, for every kind of model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import speechlm.bin.trainer
from speechlm.bin.main import main
from test.data import corpus

LEXICON = {"hello": "HH AH L OW", "world": "W ER L D", "good": "G UH D", "day": "D EY", "x": "EH K S"}


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_phones_are_compared_with_phones(head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = corpus.make(tmp_path / "data/dev")
    (tmp_path / "lexicon").write_text("".join(f"{word} {phones}\n" for word, phones in LEXICON.items()), encoding="utf-8")
    words = ["tokens", "--kind", "phone", "--language", "en", "--text", f"{data}/text", "--lexicon", f"{tmp_path}/lexicon"]
    assert main([*words, "--out", f"{tmp_path}/lang"]) == 0
    values = {
        "text": {"language": "en", "tokens": f"{tmp_path}/lang"},
        "features": {"num_mels": 20, "cmvn": "utterance"},
        "encoder": {"kind": "conv", "dim": 8, "channels": 4},
        "head": {"kind": head, **({"predictor_dim": 6, "joint_dim": 8} if head == "transducer" else {})},
        "losses": [{"kind": head}],
        "data": {"train": [str(data)], "valid": str(data), "batch_seconds": 4},
        "optim": {"steps": 1, "warmup": 0},
        "train": {"tensorboard": False},
    }
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    pairs: list[tuple[str, str]] = []
    count = speechlm.bin.trainer.tally
    monkeypatch.setattr(speechlm.bin.trainer, "tally", lambda found, given: pairs.extend(found) or count(found, given))
    assert main(["train", "--config", f"{tmp_path}/x.yaml", "--out", f"{tmp_path}/exp/x"]) == 0
    references = {text for pair in pairs for text in pair}
    assert {"HH AH L OW", "HH AH L OW W ER L D", "G UH D D EY"} <= references and "hello" not in references
    rows = [json.loads(line) for line in (tmp_path / "exp/x/metrics.jsonl").read_text().splitlines()]
    assert any("error" in row for row in rows)
