"""Options of what is trained in a pretrained part; no torch here, so that options can be checked before it is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class AdaptOptions:
    """What of a pretrained part is trained.

    Options:
        adapt: frozen, low-rank adapters, or everything.
        train_layers: layers that are trained, counted from 0 at the bottom, as in "0-4" or "0-3,8"; the others stay as
            they are. None trains all of them.
    """

    adapt: Literal["frozen", "lora", "full"] = "full"
    train_layers: str | None = None


@dataclass(frozen=True)
class FreezeOptions:
    """Whether a part that is not pretrained (a bridge) is trained.

    Options:
        adapt: frozen keeps what `train.start_from` has brought.
    """

    adapt: Literal["frozen", "full"] = "full"
