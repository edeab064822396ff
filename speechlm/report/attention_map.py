"""Attention of tokens over speech as a picture: does the model read the speech from left to right?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechlm.io.files import atomic_path


@dataclass(frozen=True)
class AttentionMap:
    """One utterance. weights: (U, T), rows sum to 1. tokens: U names of the rows. seconds: of the audio."""

    utt: str
    weights: np.ndarray
    tokens: list[str]
    seconds: float


def plot_attention(maps: list[AttentionMap], out_png: Path | str, title: str) -> None:
    """Draw the maps below each other: a row for each token, time to the right, dark where a token reads.

    Each title tells the mean entropy of the rows beside that of even attention: alike, the tokens read nothing certain.
    """
    # Figure without pyplot: nothing global, no display, and a long training does not pile up open figures.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = sum(1.2 + 0.16 * min(len(one.tokens), 60) for one in maps)
    figure = Figure(figsize=(8, height + 0.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    rows = figure.subplots(len(maps), 1, squeeze=False)[:, 0]
    for axes, one in zip(rows, maps, strict=True):
        count, steps = one.weights.shape
        even, found = np.log(steps), entropy(one.weights)
        axes.imshow(one.weights, aspect="auto", cmap="Blues", vmin=0, interpolation="nearest",
                    extent=(0, one.seconds, count - 0.5, -0.5))  # fmt: skip
        axes.set_title(f"{one.utt}: entropy {found:.2f} nats, even attention {even:.2f}", fontsize=8, loc="left")
        axes.set_xlabel("seconds", fontsize=7)
        places = range(0, count, -(-count // 60))
        # A dollar sign would begin a formula.
        axes.set_yticks(list(places), [one.tokens[place].replace("$", r"\$") for place in places])
        axes.tick_params(labelsize=6)
    Path(out_png).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(Path(out_png)) as temporary:
        figure.savefig(temporary, format="png")


def entropy(weights: np.ndarray) -> float:
    """Mean entropy of the rows (U, T) in nats."""
    return float(-(weights * np.log(np.clip(weights, 1e-20, None))).sum(-1).mean())
