"""Curves out of metrics.jsonl, as PNG and as SVG."""

from __future__ import annotations

import json
import struct
import xml.dom.minidom
from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.report.metrics import Chart, Curve, charts_of, read_metrics
from speechlm.report.plots import plot_curves
from speechlm.report.svg import draw, label, ticks
from test.report.experiment import metrics_rows, write_metrics


def test_charts_of_a_training() -> None:
    charts = {chart.title: chart for chart in charts_of(metrics_rows())}
    assert list(charts) == ["loss", "validation error", "learning rate", "gradient norm", "seconds of audio per second"]
    assert [curve.name for curve in charts["loss"].curves] == ["loss", "validation loss", "lm", "ctc"]
    assert charts["validation error"].curves[0].steps == [50, 100, 150, 200]
    assert charts["gradient norm"].log


def test_rows_without_a_kind() -> None:
    rows = [{"step": 1, "loss": 2.0, "valid_loss": 3.0, "valid_error": 50.0}, {"step": 2, "loss": None, "lr": float("nan")}]
    charts = charts_of(rows)
    assert [(chart.title, [curve.name for curve in chart.curves]) for chart in charts] == [
        ("loss", ["loss", "validation loss"]), ("validation error", ["error"]),
    ]  # fmt: skip


def test_a_row_cut_off_is_left_out(tmp_path: Path) -> None:
    path = write_metrics(tmp_path / "metrics.jsonl", metrics_rows(20))
    with open(path, "a") as file:
        file.write('{"kind": "train", "st')
    assert len(read_metrics(path)) == 3


def test_long_curves_are_thinned() -> None:
    curve = Curve("loss", list(range(5000)), [1.0] * 4999 + [3.0])
    thin = curve.thinned(600)
    assert len(thin.steps) <= 601 and (thin.steps[0], thin.steps[-1]) == (0, 4999)
    assert thin.values[-1] > 1
    assert curve.thinned(5000) is curve


def size_of(png: Path) -> tuple[int, int]:
    return struct.unpack(">II", png.read_bytes()[16:24])


def test_png_is_drawn_and_renewed(tmp_path: Path) -> None:
    metrics = write_metrics(tmp_path / "metrics.jsonl", metrics_rows())
    out = tmp_path / "plots/curves.png"
    assert plot_curves(metrics, out)
    first = out.read_bytes()
    assert min(size_of(out)) > 300
    write_metrics(metrics, metrics_rows(400))
    assert plot_curves(str(metrics), str(out)) and out.read_bytes() != first
    assert [path.name for path in out.parent.iterdir()] == ["curves.png"]


def test_nothing_to_draw(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    assert not plot_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
    with pytest.raises(UserError, match="no such file"):
        plot_curves(tmp_path / "none.jsonl", tmp_path / "curves.png")


def test_drawing_leaves_no_figure_open(tmp_path: Path) -> None:
    metrics = write_metrics(tmp_path / "metrics.jsonl", metrics_rows(50))
    plot_curves(metrics, tmp_path / "curves.png")
    import matplotlib.pyplot as pyplot

    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (95, 105, [96, 98, 100, 102, 104]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0, "0"), (12000, "12k"), (2.5e6, "2.5M"), (0.0003, "3e-4"), (1.0, "1"), (0.25, "0.25"), (-2, "-2"), (7500, "7500")],
)
def test_labels_are_short(value: float, wanted: str) -> None:
    assert label(value) == wanted


@pytest.mark.parametrize("log", [False, True])
def test_svg_is_sound_and_holds_every_point(log: bool) -> None:
    chart = Chart("a <loss> & more", [Curve("x", [1, 2, 3], [0.1, 10, 1]), Curve("y", [2], [5.0])], log)
    tree = xml.dom.minidom.parseString(str(draw(chart)))
    lines = tree.getElementsByTagName("polyline")
    assert [len(line.getAttribute("points").split()) for line in lines] == [3, 1]
    for line in lines:
        for point in line.getAttribute("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 520 and 0 <= y <= 240
    assert tree.documentElement.getAttribute("aria-label") == chart.title


def test_svg_of_a_flat_line() -> None:
    assert "polyline" in draw(Chart("flat", [Curve("x", [5], [0.0])]))
    assert json.dumps(str(draw(Chart("negative", [Curve("x", [1, 2], [-3.0, -2.0])]))))
