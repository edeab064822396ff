"""Whisper's encoder on the waveform, cut to the audio's true length."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.nn.pretrained import first_dtype, load_pretrained, recompute_activations

RATE = 16000
SAMPLES_PER_STEP = 320
HOP, FFT = 160, 400


class WhisperEncoder(nn.Module):
    """The encoder of a Whisper model of any size (2409.16005: large-v3).

    It takes windows of 30 s only. Audio is padded to that, and the output is cut to the true length before anything
    reads it: else most of the prompt is silence, which teaches an LLM to invent text. Longer audio is split into
    windows whose outputs follow each other; nothing is dropped. Whisper has no attention mask, so the silence costs as
    much as speech.

    Seq (B, N) of 16 kHz samples in [-1, 1] -> Seq (B, ceil(N / 320), dim), 20 ms per step.

    Options:
        checkpoint: Hugging Face name or folder of a Whisper model.
        window: seconds of a window, up to the checkpoint's 30. Shorter windows cost less but are not what the
            checkpoint was trained on.
        dtype: type of the loaded weights; bfloat16 halves the memory of a frozen encoder.
        attention: attention in transformers: sdpa or eager.
        gradient_checkpointing: save memory by computing activations again in the backward pass, in trained layers.
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
        from transformers import AutoModel, WhisperFeatureExtractor

        assert dim_in == 1, f"a waveform has one value per sample, dim_in is {dim_in}"
        whole: Any = load_pretrained(AutoModel, checkpoint, dtype=dtype, attention=attention)
        if whole.config.model_type != "whisper":
            raise UserError(f"checkpoint '{checkpoint}': is a {whole.config.model_type} model, not a Whisper model")
        self.model: Any = whole.encoder
        self.model.layerdrop = 0.0  # a dropped layer's adapters would get no gradient
        self.dim: int = whole.config.d_model
        self.seconds_per_step = SAMPLES_PER_STEP / RATE
        self.window = self._set_window(window)  # in steps
        filters = WhisperFeatureExtractor(feature_size=whole.config.num_mel_bins).mel_filters.T
        self.register_buffer("filters", torch.tensor(filters, dtype=torch.float32), persistent=False)  # (mels, 201)
        if gradient_checkpointing:
            recompute_activations(self.model)

    def layers(self) -> list[nn.Module]:
        """The transformer layers, bottom to top."""
        return list(self.model.layers)

    def forward(self, speech: Seq) -> Seq:
        """Encode waveforms of any length."""
        size = self.window * SAMPLES_PER_STEP
        rows, samples = speech.data.shape
        count = max(-(-samples // size), 1)
        wave = nn.functional.pad(speech.zero_padding().data, (0, count * size - samples))
        windows = wave.reshape(rows * count, size)
        starts = size * torch.arange(count, device=wave.device)
        used = (starts < speech.lens[:, None]).flatten().nonzero()[:, 0]  # windows that hold audio
        if not len(used):
            return Seq(wave.new_zeros(rows, 0, self.dim), torch.zeros_like(speech.lens))
        encoded = self._encode(windows[used])  # (W, window, D)
        data = encoded.new_zeros(rows * count, self.window, self.dim).index_copy(0, used, encoded)
        lens = -(-speech.lens // SAMPLES_PER_STEP)
        data = data.reshape(rows, count * self.window, self.dim)[:, : int(lens.max())]
        return Seq(data.to(speech.data.dtype), lens).zero_padding()

    def _encode(self, windows: Tensor) -> Tensor:
        """Encode whole windows (W, samples) -> (W, window, D)."""
        features = self.log_mel(windows).to(first_dtype(self.model))
        return self.model(features).last_hidden_state

    def log_mel(self, windows: Tensor) -> Tensor:
        """Whisper's features of windows (W, samples), equal to `WhisperFeatureExtractor`: (W, mels, samples / 160)."""
        with torch.autocast(windows.device.type, enabled=False):
            windows = windows.float()
            hann = torch.hann_window(FFT, device=windows.device)
            power = torch.stft(windows, FFT, HOP, window=hann, return_complex=True)[..., :-1].abs().square()
            mels = (self.filters.float() @ power).clamp(min=1e-10).log10()  # (W, mels, frames)
            return (torch.maximum(mels, mels.amax((1, 2), keepdim=True) - 8) + 4) / 4

    def _set_window(self, seconds: float) -> int:
        """Shorten the table of positions to the window; give its number of steps."""
        table = self.model.embed_positions
        most = table.num_embeddings
        steps = round(seconds / self.seconds_per_step)
        if not 1 <= steps <= most:
            raise UserError(f"encoder.window: must be 0.02 to {most * self.seconds_per_step} seconds, is {seconds}")
        if steps < most:
            kept = table.weight[:steps].detach().clone()
            self.model.embed_positions = nn.Embedding.from_pretrained(kept, freeze=True)
            self.model.config.max_source_positions = steps
        return steps
