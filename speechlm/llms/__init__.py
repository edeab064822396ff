"""Language models: any Hugging Face causal LM that reads speech, and teachers whose representations are learnt."""

from __future__ import annotations

KINDS: dict[str, str] = {
    "causal": "speechlm.llms.causal:CausalLLM",
}
