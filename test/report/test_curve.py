"""The picture of a sweep shows what its table says: a spot for each line, bars over the seeds, names, nothing for nothing."""

from pathlib import Path
from xml.etree import ElementTree

from speechlm.report.curve import spots_of, write_curve
from speechlm.report.sweep import Line
from test.bin.test_sweep import REFS, scored

SVG = "{http://www.w3.org/2000/svg}"


def line(folder: Path, hours: float | None, *hyps: dict[str, str]) -> Line:
    """A line of a table whose seeds were trained on so many hours, and recognised this."""
    folders = []
    for seed, hyp in enumerate(hyps):
        exp = folder / f"{hours}-seed{seed}"
        folders.append(scored(exp / "decode_dev", hyp))
        if hours is not None:
            (exp / "model.json").write_text(f'{{"data": {{"hours": {hours}, "utterances": 9}}}}')
    return Line("x", {}, "dev", "conf/a.yaml", False, folders, [0, 1, 2])


def test_a_spot_is_mean_lowest_and_highest_seed_at_its_hours(tmp_path: Path) -> None:
    wrong = {**REFS, "u1": ""}
    more, less = line(tmp_path / "a", 10.0, REFS), line(tmp_path / "b", 0.5, REFS, wrong, {**REFS, "u2": ""})
    unknown, none = line(tmp_path / "c", None, REFS), Line("to come", {}, "dev", "conf/a.yaml", False, [], [1])
    spots = spots_of([more, unknown, none, less])
    assert [(spot.hours, spot.low, spot.high) for spot in spots] == [(0.5, 0.0, 40.0), (10.0, 0.0, 0.0)]
    assert spots[0].mean == 20.0, "0, 4 and 2 errors in 10 words"


def test_the_picture_has_a_line_a_name_and_bars_for_each_curve(tmp_path: Path) -> None:
    wrong = {**REFS, "u1": ""}
    few, many = line(tmp_path / "a", 0.5, wrong, REFS), line(tmp_path / "b", 5.0, REFS)
    path = tmp_path / "s_dev.svg"
    assert write_curve(path, "error % on dev", {"none": [few, many], "a < b": [many], "to come": []})
    root = ElementTree.parse(path).getroot()
    first, second = (shape.attrib["points"].split() for shape in root.iter(f"{SVG}polyline"))
    across, up = zip(*(map(float, point.split(",")) for point in first))
    assert across[0] < across[1] and up[0] < up[1], "the error falls: the picture's y grows downwards"
    assert second == first[1:], "the same spot of two curves"
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"none", "a < b", "0.5", "5", "hours of training speech (logarithmic)", "error % on dev"} <= set(texts)
    assert "to come" not in texts
    bars = [shape for shape in root.findall(f"{SVG}g/{SVG}line") if shape.attrib["y1"] != shape.attrib["y2"]]
    assert len(bars) == 1 and float(bars[0].attrib["y1"]) > up[0] > float(bars[0].attrib["y2"])


def test_no_finished_point_no_picture(tmp_path: Path) -> None:
    assert not write_curve(tmp_path / "s.svg", "x", {"none": [Line("x", {}, "dev", "conf/a.yaml", False, [], [1])]})
    assert not (tmp_path / "s.svg").exists()
