"""Pictures of a training besides its curves: what the matching loss reads, drawn at every validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from speechlm.core.errors import UserError
from speechlm.data.collate import collate
from speechlm.data.dataset import SpeechDataset
from speechlm.report.attention_map import AttentionMap, plot_attention
from speechlm.report.metrics import read_metrics

DRAWN = 2
"""Utterances in a picture: the first of the validation set, in C order, that have words."""
SEARCHED = 50


class MatchingPictures:
    """Looks at the first utterances of the validation set with the model as it is, and draws what the loss reads.

    The newest picture is `plots/matching.png`, that of each validation `plots/matching/step-N.png`. Decoding never
    comes here: the loss belongs to the training.
    """

    def __init__(self, dataset: SpeechDataset, loss: Any, plots: Path, spell: Callable[[list[int]], str]) -> None:
        some = (dataset.read(index, 0) for index in range(min(len(dataset), SEARCHED)))
        self.examples = [example for example in some if example.text][:DRAWN]
        if not self.examples:
            raise UserError(f"{dataset.folder.path}: none of the first {SEARCHED} utterances has words to draw")
        self.loss, self.plots, self.spell = loss, plots, spell
        self.maps: list[AttentionMap] = []

    def look(self, model: nn.Module) -> None:
        """Run the model, in evaluation and without gradients, and keep the attention."""
        batch = collate(self.examples).to(next(model.parameters()).device)
        assert batch.answers is not None
        found = self.loss.maps(model(batch))
        self.maps = [
            AttentionMap(
                example.id, weights.cpu().numpy(), [self.spell([token]) for token in row[: len(weights)].tolist()],
                example.seconds,
            )
            for example, weights, row in zip(self.examples, found, batch.answers.rows(), strict=True)
        ]  # fmt: skip

    def draw(self, metrics: Path) -> None:
        """Draw what was last looked at, under the step of the last row of metrics.jsonl."""
        if not self.maps:
            return
        step = read_metrics(metrics)[-1]["step"]
        for place in (self.plots / "matching" / f"step-{step:07d}.png", self.plots / "matching.png"):
            plot_attention(self.maps, place, f"matching loss: transcript over speech, step {step}")
