"""Encoder, predictor and joiner: the Conformer-Transducer of 2309.04031, and what its teachers need while it trains."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from speechlm.core.batch import Batch, Output
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.heads.transducer import TransducerHead


class Transducer(nn.Module):
    """Score the next unit at every encoder step, given the units so far; blank is unit 0.

    In the paper's shape (10 blocks of 512, LSTM 1024, joint 256, 46 characters, 80 mel bins) it has 70,914,990
    parameters: 60,605,440 in the blocks, 1,460,096 in the subsampling, 8,849,454 in predictor and joiner.
    """

    def __init__(self, encoder: nn.Module, head: TransducerHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def encode(self, speech: Seq) -> Output:
        """Give the encoder's output, all that a search needs besides the head."""
        return Output(encoded=self.encoder(speech), notes=dict(getattr(self.encoder, "notes", {})))

    def forward(self, batch: Batch) -> Output:
        """Give what the losses read: how to join any rows, and the predictor's states before each unit."""
        if batch.targets is None:
            raise ValueError("the batch has no targets: the dataset needs a token list (text.tokens)")
        output, targets = self.encode(batch.speech), batch.targets
        encoded = output.encoded
        assert encoded is not None
        predicted = self.head.predict(targets)  # (B, U + 1, P)
        output.unit_states = Seq(predicted.data[:, :-1], targets.lens)

        def joint(rows: Tensor) -> Tensor:
            steps, states = int(encoded.lens[rows].max()), int(predicted.lens[rows].max())
            return self.head.join(encoded.data[rows, :steps, None], predicted.data[rows, None, :states])

        output.joint = joint
        return output


def build_transducer(values: dict[str, Any], encoder: nn.Module, facts: Any) -> Transducer:
    """Make the model of an experiment's checked values; `facts` are those of `models.build`."""
    if facts.num_targets is None:
        raise UserError("head.kind: transducer scores units: give 'text: {tokens: data/lang_char}'")
    if values.get("bridge"):
        raise UserError("bridge: a transducer has none; take the section out")
    options = {name: value for name, value in values["head"].items() if name != "kind"}
    return Transducer(encoder, TransducerHead(encoder.dim, facts.num_targets, **options))
