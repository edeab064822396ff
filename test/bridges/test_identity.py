"""The bridge that is none."""

from __future__ import annotations

import pytest
import torch

from speechlm.bridges.identity import IdentityBridge
from speechlm.core.seq import Seq


def test_hands_on_the_very_sequence() -> None:
    speech = Seq(torch.randn(2, 3, 4), torch.tensor([3, 1]))
    assert IdentityBridge(4, 4)(speech) is speech


def test_other_widths_are_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match="width 4 must be the LLM's 5; use linear with stride 1"):
        IdentityBridge(4, 5)
