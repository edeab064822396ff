"""Whisper's encoder on the waveform, cut to the audio's true length."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.nn.pretrained import first_dtype, load_pretrained

SAMPLES_PER_STEP = 320
HOP, FFT = 160, 400


class WhisperEncoder(nn.Module):
    """The encoder of a Whisper model of any size (2409.16005: large-v3).

    It takes windows of 30 s only. Audio is padded to that, and the output is cut to the true length before anything
    reads it: else most of the prompt is silence, which teaches an LLM to invent text. Longer audio is split into windows
    whose outputs follow each other; nothing is dropped. Whisper has no attention mask: the silence is computed, too.

    Seq (B, N) of 16 kHz samples in [-1, 1] -> Seq (B, ceil(N / 320), dim), 20 ms per step.

    Options:
        checkpoint: Hugging Face name or folder of a Whisper model.
        window: seconds of a window, up to the checkpoint's 30. Shorter windows cost less but are not what the
            checkpoint was trained on.
        dtype: type of the loaded weights; bfloat16 halves the memory of a frozen encoder.
        attention: attention in transformers: sdpa or eager.
        gradient_checkpointing: compute activations again in the backward pass to save memory.
    """

    source = "wave"

    def __init__(
        self,
        dim_in: int,
        *,
        checkpoint: str,
        window: float = 30.0,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        attention: Literal["sdpa", "eager"] = "sdpa",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        from transformers import AutoConfig, WhisperFeatureExtractor, WhisperModel

        assert dim_in == 1, f"a waveform has one value per sample, dim_in is {dim_in}"
        whole: Any = load_pretrained(AutoModelOf(WhisperModel), checkpoint, dtype=dtype, attention=attention)
        self.model: Any = whole.encoder
        config = self.model.config
        config.encoder_layerdrop = self.model.layerdrop = 0.0
        self.dim: int = config.d_model
        self.seconds_per_step = SAMPLES_PER_STEP / 16000
        self.window = self._set_window(window)
        filters = WhisperFeatureExtractor(feature_size=config.num_mel_bins).mel_filters  # (201, mels)
        self.register_buffer("filters", torch.tensor(filters.T, dtype=torch.float32), persistent=False)
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
