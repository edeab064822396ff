"""The transducer's predictor, which reads the units so far, and its joiner, which scores the next one at each step."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq

State = tuple[Tensor, Tensor]
"""Hidden and cell state of the LSTM, each (layers, B, predictor_dim)."""


class TransducerHead(nn.Module):
    """LSTM predictor and joiner of an RNN transducer; unit 0 is the blank and also stands for the start.

    The student of arXiv 2309.04031 is a Conformer-Transducer of 71 M parameters; an LSTM of 1024 and a joint width of
    256 are the sizes that fit. The multiplicative joiner is that of arXiv 2103.09935.

    encoded (B, T, dim_in), targets (B, U) -> logits (B, T, U + 1, V).

    Options:
        predictor_dim: width of the LSTM.
        predictor_layers: layers of the LSTM.
        embedding_dim: width of the units' embeddings, 0 for predictor_dim.
        joint_dim: width in which encoder and predictor meet.
        combine: how they meet before the tanh, additive or multiplicative.
        dropout: share of the predictor's embeddings and outputs set to zero while training.
        identity: let the encoder's projection begin as the identity (joint_dim must be the encoder's width). The output
            layer of a CTC head, taken over with its encoder by train.start_from, then means what it meant there, and
            the transducer need not find its alignments from nothing.
    """

    def __init__(
        self,
        dim_in: int,
        vocab_size: int,
        *,
        predictor_dim: int = 1024,
        predictor_layers: int = 1,
        embedding_dim: int = 0,
        joint_dim: int = 256,
        combine: Literal["additive", "multiplicative"] = "additive",
        dropout: float = 0.0,
        identity: bool = False,
    ) -> None:
        super().__init__()
        if identity and joint_dim != dim_in:
            raise UserError(f"head.identity: joint_dim must be the encoder's width {dim_in}, is {joint_dim}")
        if combine not in ("additive", "multiplicative"):
            raise ValueError(f"head transducer: combine must be additive or multiplicative, is {combine!r}")
        if vocab_size < 2:
            raise ValueError(f"head transducer: needs the blank and at least one unit, the token list has {vocab_size}")
        self.predictor_dim, self.combine = predictor_dim, combine
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(vocab_size, embedding_dim or predictor_dim)
        self.lstm = nn.LSTM(embedding_dim or predictor_dim, predictor_dim, predictor_layers, batch_first=True)
        self.encoder_proj = nn.Linear(dim_in, joint_dim)
        self.predictor_proj = nn.Linear(predictor_dim, joint_dim)
        if identity:
            nn.init.eye_(self.encoder_proj.weight)
            nn.init.zeros_(self.encoder_proj.bias)
        self.output = nn.Linear(joint_dim, vocab_size)

    def forward(self, encoded: Seq, targets: Seq) -> tuple[Tensor, Seq]:
        """Give all logits (B, T, U + 1, V) and the predictor's states (B, U + 1, P).

        State u has read units 0 .. u - 1 and nothing later: it is the state *before* unit u.
        """
        predicted = self.predict(targets)
        return self.join(encoded.data[:, :, None], predicted.data[:, None]), predicted

    def predict(self, targets: Seq) -> Seq:
        """Read the start and every unit: (B, U) -> (B, U + 1, P)."""
        read = torch.cat([targets.data.new_zeros(len(targets.data), 1), targets.data.clamp(min=0)], dim=1)
        states, _ = self.step(read, None)
        return Seq(states, targets.lens + 1)

    def step(self, units: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Read more units (B, U) from `state`, None at the start; give states (B, U, P) and where to go on.

        A search begins with the blank 0, then steps with each unit it puts out.
        """
        states, state = self.lstm(self.dropout(self.embedding(units)), state)
        return self.dropout(states), state

    def join(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Score the units for encoder outputs (..., dim_in) and predictor states (..., P) of shapes that broadcast."""
        return self.meet(self.encoder_proj(encoded), self.predictor_proj(predicted))

    def meet(self, acoustic: Tensor, text: Tensor) -> Tensor:
        """Do the same with what was projected before, each (..., joint_dim): a search projects the speech once."""
        return self.output(torch.tanh(acoustic + text if self.combine == "additive" else acoustic * text))
