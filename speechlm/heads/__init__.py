"""Heads read out what an encoder, or an encoder and a predictor, know: scores of units, or a text model's vectors."""

from __future__ import annotations

KINDS: dict[str, str] = {
    "ctc": "speechlm.heads.ctc:CtcHead",
    "transducer": "speechlm.heads.transducer:TransducerHead",
    "regression": "speechlm.heads.regression:RegressionHead",
}
