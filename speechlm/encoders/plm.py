"""The transformer layers of a text language model as a speech encoder (2409.17750)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.nn.adapt import parse_layers
from speechlm.nn.attention import attention_mask
from speechlm.nn.plm import keep_layers, reinitialise, residual_dropout, rms
from speechlm.nn.pretrained import first_dtype, load_pretrained, recompute_activations, transformer_layers
from speechlm.nn.subsample import ConvSubsample, stack_steps


class PlmEncoder(nn.Module):
    """Layers of a causal LM, without its embedding and mostly without its causal mask, over a convolutional front end.

    `Enc(X) = PLM(Linear(Conv(X)))` (2409.17750, form A), or `PLM(Linear(X))` over another encoder's output (form B).
    The front end's output is brought to the RMS of the LM's token embeddings: the residual stream expects vectors of
    that size, and with others a frozen LM is next to the identity. `notes` tells input_rms, embedding_rms and
    update_ratio, the RMS of what the layers have added over that of their input.

    Which steps may see which is told by a whole mask in every batch, also without padding: `config.is_causal` alone is
    lost on the way through from_pretrained and by older transformers, and where it is, no mask means a causal one. The
    constructor proves by a probe that the architecture follows.

    Seq (B, T, dim_in) -> Seq (B, ceil(T / subsampling), dim), dim being the LM's; with `front: none` ceil(T / stack).

    Options:
        checkpoint: Hugging Face name or folder of a causal LM.
        front: conv puts a convolutional front end under the layers; none a linear map, for features of another encoder.
        subsampling: input frames per step of the convolutional front end: 2, 4 or 8.
        channels: channels of the convolutional front end.
        stack: with `front: none`, neighbouring steps that the linear map takes side by side and makes one of.
        causal: let a step see only earlier ones, as in the LM; false shows every step to every other.
        layer_slice: layers of the LM that are used, counted from 0, as in "0-11"; None for all.
        init: pretrained weights; random ones; the layers in another order (shuffled); or every matrix with its values
            in another order (scrambled). The last three are the controls for what of the LM helps.
        init_seed: seed of random, shuffled and scrambled; the same seed gives the same weights when decoding.
        input_scale: RMS of the layers' input over that of the token embeddings.
        dropout: dropout after attention and feed-forward of each layer (0.5 helped the 1.8B model in the paper).
        input_dropout: dropout on the layers' input.
        dtype: type of the loaded weights; bfloat16 halves the memory of a frozen encoder.
        attention: attention in transformers: sdpa or eager.
        gradient_checkpointing: save memory by computing activations again in the backward pass, in trained layers.
    """

    source = "feats"

    def __init__(
        self,
        dim_in: int,
        *,
        checkpoint: str,
        front: Literal["conv", "none"] = "conv",
        subsampling: Literal[2, 4, 8] = 4,
        channels: int = 256,
        stack: int = 1,
        causal: bool = False,
        layer_slice: str | None = None,
        init: Literal["pretrained", "random", "shuffled", "scrambled"] = "pretrained",
        init_seed: int = 0,
        input_scale: float = 1.0,
        dropout: float = 0.1,
        input_dropout: float = 0.1,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        attention: Literal["sdpa", "eager"] = "sdpa",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if stack < 1 or (stack > 1 and front == "conv"):
            raise UserError(
                f"encoder.stack {stack}: must be at least 1, and 1 over convolutions, which have subsampling"
            )
        from transformers import AutoModel

        self.model: Any = load_pretrained(AutoModel, checkpoint, dtype=dtype, attention=attention)
        self.model.config.is_causal = causal
        self.causal, self.attention = causal, attention
        self.embedding_rms = rms(self.model.get_input_embeddings().weight)
        if init == "random":
            reinitialise(self.model, init, init_seed)
        keep_layers(self.model, parse_layers(layer_slice, len(transformer_layers(self.model))))
        if init in ("shuffled", "scrambled"):
            reinitialise(self.model, init, init_seed)
        residual_dropout(self.model, dropout)
        self.dim: int = self.model.config.hidden_size
        self.model.set_input_embeddings(nn.Identity())
        self.front = ConvSubsample(dim_in, self.dim, factor=subsampling, channels=channels) if front == "conv" else None
        self.linear = nn.Linear(stack * dim_in, self.dim) if front == "none" else None
        self.stack = stack
        self.seconds_per_step = 0.01 * (subsampling if front == "conv" else stack)
        self.scale = nn.RMSNorm(self.dim, eps=1e-8)
        nn.init.constant_(self.scale.weight, self.embedding_rms * input_scale)
        self.input_dropout = nn.Dropout(input_dropout)
        self.notes: dict[str, float] = {}
        self._last_state: list[Tensor] = []
        self.layers()[-1].register_forward_hook(self._remember)
        if gradient_checkpointing:
            recompute_activations(self.model)
        self._prove()

    def layers(self) -> list[nn.Module]:
        """The LM's layers that are used, bottom to top."""
        return list(transformer_layers(self.model))

    def forward(self, speech: Seq) -> Seq:
        """Encode features, or another encoder's output; UserError past a model's learned positions."""
        if self.front is not None:
            speech = self.front(speech)
        else:
            assert self.linear is not None
            speech = stack_steps(speech, self.stack)
            speech = speech.with_data(self.linear(speech.data))
        speech = speech.with_data(self.scale(speech.data)).zero_padding()
        out = self._run(speech.with_data(self.input_dropout(speech.data)))
        self._note(speech)
        return out.zero_padding()

    def _run(self, inputs: Seq) -> Seq:
        """Run the layers over vectors of the LM's width."""
        rows, size, _ = inputs.data.shape
        limit = self.model.config.max_position_embeddings
        if hasattr(self.model, "wpe") and size > limit:
            raise UserError(f"the LM has {limit} learned positions, an utterance needs {size}; lower data.max_seconds")
        data = inputs.data.to(first_dtype(self.model))
        states = self.model(
            inputs_embeds=data,
            attention_mask=self._mask(inputs.lens, size, data.dtype),
            position_ids=torch.arange(size, device=data.device).expand(rows, -1),
            use_cache=False,
        )
        return inputs.with_data(states.last_hidden_state.to(inputs.data.dtype))

    def _mask(self, lens: Tensor, size: int, dtype: torch.dtype) -> Tensor:
        """Make the whole mask (B, 1, T, T), in the form that the attention reads."""
        allowed = attention_mask(lens, size, causal=self.causal).expand(-1, -1, size, -1)
        if self.attention == "sdpa":
            return allowed
        return torch.zeros(allowed.shape, dtype=dtype, device=lens.device).masked_fill(~allowed, torch.finfo(dtype).min)

    def _remember(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        state = output[0] if isinstance(output, tuple) else output
        self._last_state[:] = [state.detach()]

    def _note(self, inputs: Seq) -> None:
        real, last = inputs.mask, self._last_state.pop().float()
        given = inputs.data.detach().float()
        size = rms(given[real])
        update = rms((last - given)[real]) / max(size, 1e-12)
        self.notes = {"input_rms": size, "embedding_rms": self.embedding_rms, "update_ratio": update}

    @torch.no_grad()
    def _prove(self) -> None:
        """Change the last step and look at the first: it must move, or with `causal` it must not."""
        self.eval()
        probe = torch.arange(2 * 4 * self.dim).cos().reshape(2, 4, self.dim) * self.embedding_rms
        probe[1, :-1] = probe[0, :-1]  # two rows that differ in the last step
        rows = [self._run(Seq(row[None], torch.tensor([4]))).data[0, 0] for row in probe]
        self._last_state.clear()
        self.train()
        if torch.equal(*rows) != self.causal:
            name = type(self.model).__name__
            raise UserError(
                f"{name} does not follow the mask that it is given; it cannot serve with causal: {self.causal}"
            )
