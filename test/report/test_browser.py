"""The page in a real Chromium: it is drawn, sorts, filters, plays, stays quick with 10,000 utterances, and asks for nothing."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from speechlm.report.page import write_page
from test.report.browser import Browser, find_chromium
from test.report.experiment import make_experiment

SPEAKERS = "table[data-speakers]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    find_chromium()
    with Browser() as made:
        yield made


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    exp = make_experiment(folder, number=60, audio=6)
    return write_page(exp, exp / "report.html", data=folder / "data")


@pytest.fixture
def tab(browser: Browser, page: Path) -> Browser:
    browser.requests.clear()
    browser.messages.clear()
    browser.open(page)
    return browser


def pixels(png: Path) -> np.ndarray:
    """Decode a screenshot (8 bit, RGB or RGBA)."""
    content, place, packed = png.read_bytes(), 8, b""
    width, height, _, kind = struct.unpack(">IIBB", content[16:26])
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 8] == b"IDAT":
            packed += content[place + 8 : place + 8 + size]
        place += 12 + size
    depth = {2: 3, 6: 4}[kind]
    lines = np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(height, 1 + width * depth)
    return lines[:, 1:]  # still filtered: enough to see that something is drawn


def test_the_page_is_drawn_in_light_and_dark(tab: Browser, page: Path, tmp_path: Path) -> None:
    for scheme in ("light", "dark"):
        tab.colours(scheme)
        tab.open(page)
        tab.screenshot(tmp_path / f"{scheme}.png")
        drawn = pixels(tmp_path / f"{scheme}.png")
        assert len(np.unique(drawn)) > 60 and (drawn != 0).mean() > 0.005
    tab.colours("light")
    assert (tmp_path / "light.png").read_bytes() != (tmp_path / "dark.png").read_bytes()
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_is_asked_for_and_nothing_may_be(tab: Browser) -> None:
    tab.run("document.querySelectorAll('audio').forEach(a => a.load()); new Promise(done => setTimeout(done, 200))")
    assert tab.messages == []
    assert all(url.startswith(("file:", "data:")) for url in tab.requests)
    assert sum(url.startswith("file:") for url in tab.requests) == 1  # the page itself
    refused = """new Promise(done => {
        document.addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
        fetch('https://example.org/').catch(() => 0);
        setTimeout(() => done('was let through'), 3000); })"""
    assert tab.run(refused) == "connect-src"


def column(tab: Browser, number: int) -> list[str]:
    return tab.run(f"[...document.querySelector('{SPEAKERS}').tBodies[0].rows].map(r => r.cells[{number}].textContent)")


def test_tables_sort_by_a_click(tab: Browser) -> None:
    click = f"document.querySelector('{SPEAKERS}').tHead.rows[0].cells[%d].querySelector('button').click()"
    tab.run(click % 1)
    rates = [float(text) for text in column(tab, 1)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) > 2
    assert tab.run(f"document.querySelector('{SPEAKERS}').tHead.rows[0].cells[1].ariaSort") == "descending"
    tab.run(click % 1)
    assert [float(text) for text in column(tab, 1)] == sorted(rates)
    tab.run(click % 0)
    assert column(tab, 0) == ["s0", "s1", "s2", "s3", "s4"]
    tab.run(click % 0)
    assert column(tab, 0) == ["s4", "s3", "s2", "s1", "s0"]


def test_alignments_are_coloured_and_filtered(tab: Browser) -> None:
    assert tab.run("document.querySelector('article').dataset.id") == "s0-u00000"
    assert tab.run("document.querySelectorAll('article:first-child ins').length") == 30
    assert tab.run("getComputedStyle(document.querySelector('article ins')).color") != tab.run(
        "getComputedStyle(document.querySelector('article del')).color"
    )
    names = tab.run("[...document.querySelectorAll('#filters button')].map(b => b.dataset.filter)")
    assert {"all", "wrong", "s", "d", "i", "sound", "class:loop", "class:refusal", "class:empty"} <= set(names)
    tab.run("document.querySelector('[data-filter=\"class:refusal\"]').click()")
    assert tab.run("[...document.querySelectorAll('article')].map(a => a.dataset.id)") == ["s0-u00010"]
    assert tab.run("document.querySelector('article ruby rt').textContent") != ""
    tab.run("document.querySelector('[data-filter=all]').click()")
    assert tab.run("document.querySelector('#found').textContent").startswith("60 of 60")


def type_in(text: str) -> str:
    write = f"box.value = {json.dumps(text)}; box.dispatchEvent(new Event('input'));"
    return f"(() => {{ const box = document.querySelector('#search'); {write} }})()"


def test_words_and_speakers_are_found(tab: Browser) -> None:
    tab.run(type_in("again again"))
    assert tab.run("[...document.querySelectorAll('article')].map(a => a.dataset.id)") == ["s0-u00000"]
    tab.run(f"document.querySelector('{SPEAKERS}').tBodies[0].rows[2].click()")
    assert tab.run("[...document.querySelectorAll('article .head span')].filter(s => s.textContent == 's2').length") == 12
    tab.run(type_in("nobody said that"))
    assert tab.run("document.querySelectorAll('article').length") == 0


def test_audio_plays_and_the_spectrogram_seeks(tab: Browser) -> None:
    assert tab.run("document.querySelectorAll('article audio').length") >= 4
    played = tab.run("""(async () => {
        const audio = document.querySelector('article audio');
        if (!(audio.duration > 0)) await new Promise(done => audio.addEventListener('loadedmetadata', done, {once: true}));
        await audio.play();
        for (let wait = 0; wait < 100 && audio.currentTime === 0; wait++) await new Promise(done => setTimeout(done, 100));
        return [audio.duration, audio.currentTime, audio.error]; })()""")
    assert played[0] == pytest.approx(0.5, abs=0.05)
    assert played[1] > 0 and played[2] is None
    assert tab.run("document.querySelector('.picture img').naturalWidth") > 20
    place = tab.run("""(() => {
        const audio = document.querySelector('article audio'), picture = document.querySelector('.picture');
        const box = picture.getBoundingClientRect();
        audio.pause();
        picture.dispatchEvent(new MouseEvent('click', {clientX: box.left + box.width * 0.8, bubbles: true}));
        return audio.currentTime / audio.duration; })()""")
    assert place == pytest.approx(0.8, abs=0.05)


def test_theme_button_turns_the_colours(tab: Browser) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    before = tab.run(ground)
    tab.run("document.querySelector('#theme').click()")
    assert tab.run(ground) != before
    tab.run("document.querySelector('#theme').click()")
    assert tab.run(ground) == before


def test_the_summary_is_there_without_scripts(browser: Browser, page: Path) -> None:
    browser.open(page, scripts=False)
    browser.call("DOM.enable")
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    html = browser.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
    assert 'id="explorer" hidden' in html and "The alignments below need JavaScript" in html
    assert html.count("<polyline") == 8 and "95 % interval" in html
    browser.open(page)


def test_ten_thousand_utterances_stay_usable(browser: Browser, tmp_path: Path) -> None:
    exp = make_experiment(tmp_path, number=10_000, audio=0)
    page = write_page(exp, exp / "report.html")
    assert page.stat().st_size < 4e6
    start = time.monotonic()
    browser.open(page)
    assert browser.run("document.querySelector('#found').textContent").endswith("of 10,000 utterances")
    assert time.monotonic() - start < 30
    assert browser.run("document.querySelectorAll('article').length") == 25  # only one page of them is in the document
    spent = """(() => { const start = performance.now(); %s; document.body.offsetHeight; return performance.now() - start; })()"""
    for action in (
        "document.querySelector('[data-filter=all]').click()",
        type_in("lazy dog"),
        type_in(""),
        "document.querySelector('#next').click()",
        "document.querySelector('#order').value = 'id'; document.querySelector('#order').dispatchEvent(new Event('change'))",
    ):
        assert browser.run(spent % action) < 3000, action
    assert browser.run("document.querySelector('#page').textContent") == "1 / 400"
