"""Tiny trained experiments for tests of commands: a CTC model on characters, and a speech LLM with such a head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from speechlm.bin.main import main
from test.data import corpus
from test.families.checkpoints import tiny_checkpoint


def make(place: Path, *names: str) -> Path:
    """Train exp/ctc, exp/llm (with a trained CTC head) or exp/deaf (without one) below `place`, on its data/dev."""
    data = corpus.make(place / "data/dev")
    words = ["tokens", "--kind", "char", "--language", "en", "--text", f"{data}/text", "--out", f"{place}/lang"]
    assert main(words) == 0
    common: dict[str, Any] = {
        "text": {"language": "en", "tokens": f"{place}/lang"},
        "features": {"num_mels": 20, "cmvn": "utterance"},
        "encoder": {"kind": "conv"},
        "data": {"train": [str(data)], "batch_seconds": 3},
        "optim": {"steps": 3, "lr": 1e-3},
        "train": {"tensorboard": False},
        "decode": {"max_tokens_per_second": 2, "max_tokens_extra": 1},
    }
    llm = {"llm": {"kind": "causal", "checkpoint": str(tiny_checkpoint("llama")), "adapt": "full"}}
    kinds = {
        "ctc": {"head": {"kind": "ctc"}},
        "llm": {"head": {"kind": "ctc"}, "losses": [{"kind": "lm"}, {"kind": "ctc"}], **llm},
        "deaf": {"losses": [{"kind": "lm"}], **llm},
    }
    for name in names:
        path = place / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**common, **kinds[name]}), encoding="utf-8")
        assert main(["train", "--config", str(path), "--out", f"{place}/exp/{name}"]) == 0
    return place
