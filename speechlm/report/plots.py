"""PNG curves of a training, drawn from its metrics.jsonl at every validation."""

from __future__ import annotations

from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_path
from speechlm.report.metrics import Chart, charts_of, read_metrics

COLOURS = ("#3b6ea8", "#d1793a", "#4c9a6a", "#a8518c", "#8a8a3c", "#6d6d78")


def plot_curves(metrics_path: Path | str, out_png: Path | str) -> bool:
    """Draw losses, errors, learning rate, gradient norm and speed over the steps into one PNG.

    Give whether there was anything to draw; before the first row there is no picture. Raises: UserError when there is
    no such metrics file.
    """
    metrics_path, out_png = Path(metrics_path), Path(out_png)
    if not metrics_path.exists():
        raise UserError(f"{metrics_path}: no such file; training writes it (stage 4)")
    charts = charts_of(read_metrics(metrics_path))
    if not charts:
        return False
    # Figure without pyplot: nothing global, no display, and a long training does not pile up open figures.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(2, len(charts))
    height = -(-len(charts) // columns)
    wide, high = 5.2 * columns, 2.9 * height
    figure = Figure(figsize=(wide, high), dpi=110)
    figure.subplots_adjust(0.6 / wide, 0.5 / high, 1 - 0.2 / wide, 1 - 0.3 / high, wspace=0.17, hspace=0.42)
    FigureCanvasAgg(figure)
    for place, chart in enumerate(charts, start=1):
        _draw(figure.add_subplot(height, columns, place), chart)
    with atomic_path(out_png) as temporary:
        figure.savefig(temporary, format="png")
    return True


def _draw(axes, chart: Chart) -> None:  # noqa: ANN001 (matplotlib's Axes, imported only when something is drawn)
    for curve, colour in zip(chart.curves, COLOURS * len(chart.curves)):
        few = len(curve.steps) < 30
        axes.plot(curve.steps, curve.values, color=colour, linewidth=1.5, marker="o" if few else None, markersize=3,
                  label=curve.name)  # fmt: skip
    axes.set_title(chart.title, fontsize=10, loc="left")
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e4e4e8", linewidth=0.7)
    if chart.log:
        axes.set_yscale("log")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(chart.curves) > 1:
        axes.legend(fontsize=8, frameon=False)
