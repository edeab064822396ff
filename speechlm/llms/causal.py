"""Any Hugging Face causal language model as the reader of speech embeddings."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from speechlm.core.seq import Seq
from speechlm.llms.tokenizer import check_reachable
from speechlm.nn.pretrained import load_pretrained, recompute_activations


class CausalLLM(nn.Module):
    """A causal LM that reads embeddings instead of token ids and scores only the positions that are asked for.

    Speech stands among the token embeddings as a prefix (arXiv 2312.03668). All rows are padded on the
    right, with an explicit mask and explicit positions, so an utterance gets the same states alone and in a batch.
    Widths and vocabulary are asked of the checkpoint: `dim`, `vocab_size` (rows of the embedding table, at least the
    tokenizer's), `embedding_rms` (RMS of that table, the size a bridge's output should have).

    Options:
        checkpoint: Hugging Face name or folder with config.json and model.safetensors.
        dtype: type of the loaded weights; auto takes the checkpoint's own.
        attention: implementation of attention in transformers: sdpa, eager or flash_attention_2; auto takes the best
            that the architecture has.
        gradient_checkpointing: compute activations again in the backward pass; saves memory while the LLM itself is
            trained (LoRA or full), a frozen LLM in eval mode keeps its activations.
    """

    def __init__(
        self,
        *,
        checkpoint: str,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        from transformers import AutoModelForCausalLM

        check_reachable(checkpoint)
        self.model: Any = load_pretrained(AutoModelForCausalLM, checkpoint, dtype=dtype, attention=attention)
        if gradient_checkpointing:
            recompute_activations(self.model)
        weight: Tensor = self.model.get_input_embeddings().weight
        self.vocab_size, self.dim = weight.shape
        self.embedding_rms = weight.detach().float().square().mean().sqrt().item()

    @property
    def causal_lm(self) -> Any:
        """The Hugging Face model itself, whether or not peft has wrapped it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def embed(self, ids: Tensor) -> Tensor:
        """Look up token embeddings: (...) int64 -> (..., D)."""
        return self.causal_lm.get_input_embeddings()(ids)

    def hidden(self, embeds: Seq) -> Tensor:
        """Run the transformer over embeddings (B, T, D) and give its last hidden states (B, T, D), final norm included.

        Raises ValueError when the longest row exceeds the positions that the model has.
        """
        steps = embeds.data.shape[1]
        limit = getattr(self.causal_lm.config, "max_position_embeddings", None)
        if limit is not None and steps > limit:
            raise ValueError(
                f"the LLM has {limit} positions, prompt and answer need {steps}; lower data.max_seconds or raise the "
                "bridge's stride"
            )
        positions = torch.arange(steps, device=embeds.data.device).expand(len(embeds.data), -1)
        states = self.causal_lm.base_model(
            inputs_embeds=embeds.data,
            attention_mask=embeds.mask.to(torch.int64),
            position_ids=positions,
            use_cache=False,
        )
        return states.last_hidden_state

    def logits(self, hidden: Tensor) -> Tensor:
        """Score the vocabulary for the states that are wanted: (N, D) -> (N, V), with the model's own scaling."""
        config = self.causal_lm.config
        logits: Tensor = self.causal_lm.get_output_embeddings()(hidden)
        if (divisor := getattr(config, "logits_scaling", None)) is not None:  # Granite
            logits = logits / divisor
        if (factor := getattr(config, "logit_scale", None)) is not None:  # Cohere
            logits = logits * factor
        if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma 2
            logits = torch.tanh(logits / cap) * cap
        return logits
