"""Self-supervised speech models as encoders: HuBERT, wav2vec 2.0, WavLM."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq, mask_of
from speechlm.nn.pretrained import first_dtype, load_pretrained, recompute_activations

KNOWN = ("hubert", "wav2vec2", "wavlm")


class SslEncoder(nn.Module):
    """A HuBERT, wav2vec 2.0 or WavLM model on the waveform (2312.03668: HuBERT-base; 2406.17272: HuBERT-large).

    Any batch gives each utterance what it gets alone: the attention mask follows the true lengths, audio is normalised
    over its true length, and the group norm of *base* models, whose statistics run over time, is computed over true
    frames only (`LengthGroupNorm`). Layer drop is off: a dropped layer's adapters would get no gradient.

    Seq (B, N) of 16 kHz samples in [-1, 1] -> Seq (B, T, dim), T = floor((N - 400) / 320) + 1, 20 ms per step. Audio
    shorter than 400 samples (25 ms) is padded with silence to one step.

    Options:
        checkpoint: Hugging Face name or folder.
        freeze_conv: keep the convolutional waveform part as it is even when all else is trained (2312.03668, fig. 1).
        layer: number of the layer whose output is taken, 1 the lowest; those above are dropped. None takes the last.
        weighted_sum: give a trained weighted sum of the outputs of all layers, the input of the lowest included.
        normalize: bring each utterance to mean 0 and variance 1; None does as the checkpoint's preprocessor says, or,
            where it has none, normalises for models with layer norm only.
        spec_augment: mask spans of the convolutional features in training, as the checkpoint's configuration says.
        dtype: type of the loaded weights; bfloat16 halves the memory of a frozen encoder.
        attention: attention in transformers: sdpa (which WavLM does not have), eager, or the best there is.
        gradient_checkpointing: save memory by computing activations again in the backward pass, in trained layers.
    """

    source = "wave"

    def __init__(
        self,
        dim_in: int,
        *,
        checkpoint: str,
        freeze_conv: bool = True,
        layer: int | None = None,
        weighted_sum: bool = False,
        normalize: bool | None = None,
        spec_augment: bool = False,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        attention: Literal["auto", "sdpa", "eager"] = "auto",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        from transformers import AutoModel

        assert dim_in == 1, f"a waveform has one value per sample, dim_in is {dim_in}"
        self.model: Any = load_pretrained(AutoModel, checkpoint, dtype=dtype, attention=attention)
        config = self.model.config
        if config.model_type not in KNOWN or getattr(config, "add_adapter", False):
            raise UserError(f"checkpoint '{checkpoint}': must be one of {', '.join(KNOWN)} without a length adapter")
        config.layerdrop = 0.0
        self.spec_augment = spec_augment
        self.normalize = _wants_normal(checkpoint, config) if normalize is None else normalize
        self.dim: int = config.hidden_size
        self.stride = prod(config.conv_stride)
        self.seconds_per_step = self.stride / 16000
        self.field = 1 + sum((k - 1) * prod(config.conv_stride[:i]) for i, k in enumerate(config.conv_kernel))
        if layer is not None:
            self._keep_layers(layer)
        self.layer_weights = nn.Parameter(torch.zeros(len(self.layers()) + 1)) if weighted_sum else None
        self._fix_group_norm()
        self._freeze(freeze_conv)
        if gradient_checkpointing:
            recompute_activations(self.model)

    def layers(self) -> list[nn.Module]:
        """The transformer layers, bottom to top."""
        return list(self.model.encoder.layers)

    def frames(self, samples: Tensor, layer: int | None = None) -> Tensor:
        """Count the steps that the convolutions, or the first `layer` of them, make of so many samples."""
        config = self.model.config
        for kernel, stride in list(zip(config.conv_kernel, config.conv_stride))[:layer]:
            samples = (samples - kernel) // stride + 1
        return samples

    def forward(self, speech: Seq) -> Seq:
        """Encode waveforms."""
        wave = self._prepare(speech)
        if self.group_norm is not None:
            self.group_norm.lens = self.frames(wave.lens, 1)
        steps = self.frames(wave.lens)
        config = self.model.config
        size = int(self.frames(torch.tensor(wave.data.shape[1])))
        config.apply_spec_augment = self.spec_augment and size >= config.mask_time_length
        out = self.model(
            wave.data.to(first_dtype(self.model)),
            attention_mask=wave.mask.long(),
            output_hidden_states=self.layer_weights is not None,
        )
        data = out.last_hidden_state
        if self.layer_weights is not None:
            states = torch.stack([*out.hidden_states[:-1], data])  # (L + 1, B, T, D)
            data = torch.tensordot(self.layer_weights.softmax(0).to(states.dtype), states, dims=1)
        lens = torch.where(speech.lens > 0, steps, 0)
        return Seq(data.to(speech.data.dtype), lens).zero_padding()

    def _prepare(self, speech: Seq) -> Seq:
        """Normalise over true lengths, and make the shortest utterance long enough for one step."""
        missing = max(self.field - speech.data.shape[1], 0)
        data, mask = speech.zero_padding().data.float(), speech.mask
        if self.normalize:
            count = speech.lens.clamp(min=1)[:, None]
            data = (data - data.sum(1, keepdim=True) / count) * mask
            data = data / (data.square().sum(1, keepdim=True) / count + 1e-7).sqrt()
        return Seq(nn.functional.pad(data, (0, missing)), speech.lens.clamp(min=self.field))

    def _keep_layers(self, count: int) -> None:
        layers = self.model.encoder.layers
        if not 1 <= count <= len(layers):
            raise UserError(f"encoder.layer: must be 1 to {len(layers)}, is {count}")
        if count < len(layers) and getattr(self.model.config, "do_stable_layer_norm", False):
            self.model.encoder.layer_norm = nn.Identity()  # it belongs to the last layer's output
        self.model.encoder.layers = layers[:count]
        self.model.config.num_hidden_layers = count

    def _fix_group_norm(self) -> None:
        first = self.model.feature_extractor.conv_layers[0]
        grouped = self.model.config.feat_extract_norm == "group"
        if grouped:
            first.layer_norm = LengthGroupNorm(first.layer_norm)
        self.group_norm: LengthGroupNorm | None = first.layer_norm if grouped else None

    def _freeze(self, conv: bool) -> None:
        if conv:
            self.model.feature_extractor.requires_grad_(False)
            self.model.feature_extractor._requires_grad = False  # else in training it asks for gradients of the samples
        if hasattr(self.model, "masked_spec_embed"):
            # It is not in every batch's graph, and distributed training needs each trained parameter to be.
            self.model.masked_spec_embed.requires_grad_(False)


class LengthGroupNorm(nn.Module):
    """Group norm with one group per channel, over the first `lens` frames of each row instead of all.

    Base models normalise the first convolution's output over time; with padding in the sums an utterance would change
    with the batch it is in. (B, C, T) -> (B, C, T).
    """

    lens: Tensor  # (B,), set before each forward

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        assert norm.num_groups == norm.num_channels
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of each row over its true frames."""
        mask = mask_of(self.lens, x.shape[2])[:, None]  # (B, 1, T)
        count = self.lens[:, None, None]
        centred = x.float()
        centred = centred - (centred * mask).sum(2, keepdim=True) / count
        variance = (centred.square() * mask).sum(2, keepdim=True) / count
        normal = centred * (variance + self.eps).rsqrt()
        return (normal * self.weight[:, None] + self.bias[:, None]).to(x.dtype)


def _wants_normal(checkpoint: str, config: Any) -> bool:
    """Ask the checkpoint's preprocessor whether its audio is normalised."""
    from transformers import AutoFeatureExtractor

    try:
        return bool(AutoFeatureExtractor.from_pretrained(checkpoint).do_normalize)
    except (OSError, ValueError, AttributeError):
        return config.feat_extract_norm == "layer"
