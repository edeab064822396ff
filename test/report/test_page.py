"""The page as text: complete without JavaScript, safe against what a hypothesis may hold, nothing from outside."""

from __future__ import annotations

import json
import re
import struct
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.report.page import write_page
from speechlm.report.sound import RATE, flac, palette_png, spectrogram
from speechlm.report.utterances import Choice, tokens
from speechlm.scoring.kaldi import Aligned
from test.report.experiment import make_experiment, score_folder


class Reader(HTMLParser):
    """Collects links, the visible text and the payload."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.payload = ""
        self.inside = ""

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.inside = "payload" if values.get("id") == "payload" else tag
        for name in ("src", "href", "action", "srcset", "poster"):
            if name in values and not values[name].startswith(("#", "data:")):
                self.outside.append(f"{tag} {name}={values[name]}")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "payload":
            self.payload += data
        elif self.inside not in ("script", "style"):
            self.texts.append(data)


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    exp = make_experiment(tmp_path_factory.mktemp("page"))
    (exp / "plots").mkdir()
    (exp / "plots/matching_map.png").write_bytes(palette_png(np.zeros((4, 4), dtype=np.uint8)))
    assert main(["report", str(exp), "--data", str(exp.parents[1] / "data")]) == 0
    return exp / "report.html"


def test_nothing_comes_from_outside(page: Path) -> None:
    text = page.read_text()
    assert read(page).outside == []
    assert re.findall(r"https?://", text.replace("http://www.w3.org", "")) == []
    assert "@import" not in text and "url(" not in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert "default-src 'none'" in policy and "img-src data:" in policy and "connect" not in policy


def test_the_summary_needs_no_script(page: Path) -> None:
    found = read(page)
    score = json.loads((page.parent / "decode_test/scoring.json").read_text())
    text = " ".join(" ".join(found.texts).split())
    assert f"{score['rate']:.2f}" in text and "95 % interval" in text
    for word in ("speakers", "s0", "s4", "loop", "refusal", "speechlm train --config conf/x.yaml", "beam=4 length_penalty=0.5",
                 "1.00 h, 2 utterances", "matching map", "Normalisation", "0123456789"):  # fmt: skip
        assert word.lower() in text.lower(), word
    assert found.tags.count("polyline") == 8
    assert "noscript" in found.tags


def test_the_payload_holds_the_utterances(page: Path) -> None:
    entries = json.loads(read(page).payload)["set0"]
    assert len(entries) == 40
    worst = entries[0]
    assert worst["id"] == "s0-u00000" and worst["i"] == 30 and worst["c"] == ["over_long", "runaway", "loop"]
    assert worst["k"] == "s0" and worst["l"] == 0.5
    assert worst["a"].startswith("data:audio/flac;base64,") and worst["p"].startswith("data:image/png;base64,")
    assert sum("a" in one for one in entries) == 4  # as many as there are recordings
    assert "</script" not in read(page).payload


def test_signs_of_html_in_a_hypothesis_are_harmless(tmp_path: Path) -> None:
    exp = make_experiment(tmp_path, number=8, audio=0)
    evil = "</script><script>alert(1)</script> <img/src=x>"
    score_folder(tmp_path / "data/test", exp / "decode_test", errors=lambda place, words: evil.split())
    found = read(write_page(exp, tmp_path / "r.html"))
    assert found.tags.count("script") == 3 and "img" not in found.tags
    assert any("</script><script>alert(1)</script>" in part for part in json.loads(found.payload)["set0"][0]["t"])


def test_limits_and_missing_pieces(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exp = make_experiment(tmp_path, number=30, audio=0)  # wav.scp names files that are not there
    entries = json.loads(read(write_page(exp, tmp_path / "r.html", choice=Choice(utterances=12, audio=3))).payload)["set0"]
    assert len(entries) == 12 and not any("a" in one for one in entries)
    (tmp_path / "data/test/wav.scp").unlink()
    (exp / "metrics.jsonl").unlink()
    (exp / "model.json").unlink()
    text = " ".join(read(write_page(exp, tmp_path / "r.html")).texts)
    assert "not recorded" in text and "Training" in text
    for path in sorted((tmp_path / "data").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert write_page(exp, tmp_path / "r.html").exists()  # the corpus is gone, the report still works


def test_a_training_without_scores_has_a_page(tmp_path: Path) -> None:
    exp = make_experiment(tmp_path, number=6, audio=0)
    (exp / "decode_test/scoring.json").unlink()
    found = read(write_page(exp, tmp_path / "r.html"))
    assert "polyline" in found.tags and found.payload == "{}"
    (exp / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match="neither metrics.jsonl nor a scored decode folder"):
        write_page(exp, tmp_path / "r.html")
    assert main(["report", str(tmp_path / "none")]) == 1
    assert main(["report", str(exp), "--audio", "-1"]) == 1


def test_tokens_are_runs_and_errors() -> None:
    found = Aligned("u", [("a", "a"), ("b", "b"), ("c", "x"), ("d", None), (None, "y"), ("e", "e")])
    assert tokens(found, " ", False) == ["a b", ["c", "x"], ["d", 0], [0, "y"], "e"]
    chinese = Aligned("u", [("今", "今"), ("天", "天"), ("他", "她"), ("好", "坏")])
    assert tokens(chinese, "", True) == ["今天", ["他", "她", 1], ["好", "坏"]]
    assert tokens(Aligned("u", []), " ", False) == []


def test_flac_is_the_audio(tmp_path: Path) -> None:
    samples = (0.5 * np.sin(np.arange(8000) / 20)).astype(np.float32)
    (tmp_path / "a.flac").write_bytes(flac(samples))
    back, rate = soundfile.read(tmp_path / "a.flac", dtype="float32")
    assert rate == RATE and np.abs(back - samples).max() < 1e-4


@pytest.mark.parametrize("tone", [500, 3000, 7000])
def test_spectrogram_shows_a_tone_where_it_is(tone: int) -> None:
    image = spectrogram(np.sin(2 * np.pi * tone * np.arange(RATE) / RATE).astype(np.float32))
    assert image.shape == (128, 97) and image.dtype == np.uint8
    loudest = 127 - int(image.mean(axis=1).argmax())  # rows from low to high, 62.5 Hz each
    assert abs((loudest + 0.5) * 62.5 - tone) < 63


def test_spectrogram_of_short_and_long_and_silent_audio() -> None:
    assert spectrogram(np.zeros(10, dtype=np.float32)).shape == (128, 1)
    assert spectrogram(np.zeros(5000, dtype=np.float32)).max() == 0
    assert spectrogram(np.ones(RATE * 40, dtype=np.float32)).shape[1] <= 1200


def test_png_has_the_size_of_the_image(tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = palette_png(image)
    assert struct.unpack(">II", content[16:24]) == (4, 3)
    import matplotlib.image

    (tmp_path / "a.png").write_bytes(content)
    shown = matplotlib.image.imread(tmp_path / "a.png")
    assert shown.shape[:2] == (3, 4)
    assert np.allclose(shown[0, 0, :3] * 255, [0x14, 0x17, 0x24], atol=1)
