"""Bridges carry speech from the encoder's width and rate to the LLM's: `Seq -> Seq`."""

from __future__ import annotations

KINDS: dict[str, str] = {
    "linear": "speechlm.bridges.linear:LinearBridge",
    "conv": "speechlm.bridges.conv:ConvBridge",
    "conv_mlp": "speechlm.bridges.conv_mlp:ConvMlpBridge",
    "dws_mlp": "speechlm.bridges.dws_mlp:DwsMlpBridge",
    "conv_transformer": "speechlm.bridges.conv_transformer:ConvTransformerBridge",
    "ctc_compress": "speechlm.bridges.ctc_compress:CtcCompressBridge",
    "ctc_lookup": "speechlm.bridges.ctc_lookup:CtcLookupBridge",
    "query": "speechlm.bridges.query:QueryBridge",
    "identity": "speechlm.bridges.identity:IdentityBridge",
}
