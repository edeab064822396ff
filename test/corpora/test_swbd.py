"""Switchboard and its tests from LDC's trees: sides, words, partitions, references; and the tree of AMI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speechlm.core.errors import UserError
from speechlm.corpora.ami import AmiCorpus
from speechlm.corpora.base import prepare
from speechlm.corpora.fisher import FisherCorpus
from speechlm.corpora.hub5 import plain_glm, reference_words
from speechlm.corpora.swbd import SwbdCorpus
from speechlm.corpora.swbd_text import fisher_words, keep_at_most, plain_words, spelled_acronyms
from speechlm.io.audio import read_audio
from speechlm.io.datadir import DataDir, validate
from speechlm.scoring.glm import read_glm
from speechlm.text.context import conversation_sides
from test.corpora import telephone
from test.corpora.miniature import sound, write


@pytest.mark.parametrize("said, words", [
    ("[silence] hi um yeah [laughter]", "hi um yeah"),
    ("[laughter-yes] [laughter-ye[ah]-] i", "yes ye- i"),
    ("[it'n/isn't] that ammu[nition]- -[an]y", "it'n that ammu- -y"),
    ("them_1 {yuppiedom} <b_aside> well <e_aside>", "them yuppiedom well"),
    ("I watch TV and IBM's NASA CDs", "i watch t v and i b m's nasa cds"),
    ("[noise] [vocalized-noise]", ""),
])  # fmt: skip
def test_words_of_the_transcripts(said: str, words: str) -> None:
    assert plain_words(said, {"TV": "t v", "IBM": "i b m"}) == words


def test_acronyms_are_what_the_dictionary_spells(tmp_path: Path) -> None:
    root = telephone.switchboard(tmp_path, conversations=1)
    assert spelled_acronyms(next(root.rglob("sw-ms98-dict.text"))) == {"IBM": "i b m", "TV": "t v"}


def test_fisher_words_and_repeats() -> None:
    assert fisher_words("i watch t._v. [laughter]") == "i watch t v" and fisher_words("(( who )) is") is None
    texts = [("a", "yeah"), ("b", "yeah"), ("c", "no"), ("d", "yeah")]
    assert keep_at_most(texts, 2) == {"a", "b", "c"} and len(keep_at_most(texts, 0)) == 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sets prepared from their trees."""
    folder = tmp_path_factory.mktemp("ldc")
    root = telephone.switchboard(folder)
    others = [str(telephone.eval2000(folder / "e")), str(telephone.rt03(folder / "r"))]
    corpus = SwbdCorpus(root, more=others, dev_utterances=10, max_same=3)
    prepare(corpus, corpus.splits, folder / "data")
    return folder / "data"


def test_every_set_is_valid_and_complete(data: Path) -> None:
    for split, count in {"dev": 16, "train": 31, "eval2000": 5, "rt03": 2}.items():
        assert validate(data / split) == []
        assert len(DataDir(data / split).ids()) == count, split


def test_channels_are_those_of_the_sides(data: Path) -> None:
    """Side A sounds at 300 Hz, side B at 900 Hz: what is read is the side's own channel, decoded from mu-law."""
    train = DataDir(data / "dev")
    for utt in train.ids():
        samples, rate = np.asarray(train.audio(utt)), 8000
        peak = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
        assert peak == pytest.approx(300 if "-A_" in utt else 900, abs=2), utt
        assert np.abs(samples).max() == pytest.approx(0.3, rel=0.03)
    assert train.segments is not None and train.segments["sw02001-B_000120-000210"] == "sw02001 1.200 2.100 1"
    assert train.utt2spk is not None and train.utt2spk["sw02001-B_000120-000210"] == "sw02001-B"


def test_conversations_are_whole_and_sides_are_apart(data: Path) -> None:
    recordings = {split: set(DataDir(data / split).wav_scp or {}) for split in ("train", "dev")}
    assert recordings["dev"] == {"sw02001", "sw02002"} and not recordings["dev"] & recordings["train"]
    dev = DataDir(data / "dev")
    sides = conversation_sides(dev.ids(), segments=dev.segments, utt2spk=dev.utt2spk)
    assert len(sides) == 4 and all(len({utt.split("_")[0] for utt in side}) == 1 for side in sides)
    assert all(side == sorted(side) and len(side) == 4 for side in sides)


def test_the_same_words_at_most_so_often(data: Path) -> None:
    texts = list((DataDir(data / "train").text or {}).values())
    assert max(map(texts.count, texts)) == 3


def test_references(data: Path) -> None:
    text = DataDir(data / "eval2000").text
    assert text == {
        "en_4156-A_000020-000120": "yeah i like the weather", "en_4156-A_000220-000300": "that's my dog",
        "en_4156-B_000130-000210": "uh huh and you", "sw_4390-A_000020-000150": "what do you know about texas",
        "sw_4390-B_000250-000340": "i talk to the dog",
    }  # fmt: skip
    assert (data / "eval2000/stm").read_text().splitlines() == telephone.STM[:-1]
    mapping = read_glm(data / "eval2000/glm_plain")
    assert mapping.apply(["uh", "i", "like", "um", "uh", "huh", "colour", "that's"]) == ["i", "like", "bcack", "color", "that's"]
    assert DataDir(data / "rt03").text == {
        "fsh_60262-A_000010-000120": "you know the weather", "fsh_60262-B_000130-000250": "yeah i do",
    }  # fmt: skip
    assert reference_words("{ a / b / c } (x) @ %HESITATION d-e") == "a d e"
    assert plain_glm(["[A] => [B] / [C] __ [ ]", "x", "[A] => {[A] / [B]}"]) == []


def test_faults_are_told(tmp_path: Path) -> None:
    root = telephone.switchboard(tmp_path, conversations=1)
    with pytest.raises(UserError, match="no stm of eval2000"):
        list(SwbdCorpus(root).utterances("eval2000"))
    table = next(root.rglob("*A-ms98-a-trans.text"))
    table.write_text("sw2001A-ms98-a-0001 zero 1 hi\n")
    with pytest.raises(UserError, match=r"sw2001A-ms98-a-trans.text:1: must be 'id start end words'"):
        list(SwbdCorpus(root).utterances("train"))
    with pytest.raises(UserError, match="no swb_ms98_transcriptions"):
        list(SwbdCorpus(root / "swb1_d2").utterances("train"))
    with pytest.raises(UserError, match="not found"):
        SwbdCorpus(root, more=[str(tmp_path / "nowhere")])


def test_fisher(tmp_path: Path) -> None:
    corpus = FisherCorpus(telephone.fisher(tmp_path))
    prepare(corpus, ["fisher"], tmp_path / "data")
    made = DataDir(tmp_path / "data/fisher")
    assert made.text == {"fe_03_00001-A_000020-000110": "hello i watch t v", "fe_03_00001-B_000210-000300": "uh-huh"}
    assert corpus.dropped == {"not understood": 1, "without words": 1} and validate(made.path) == []


def ami(folder: Path) -> Path:
    """AMI's annotations and headset recordings of three meetings."""
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<nite:root xmlns:nite="http://nite.sourceforge.net/" nite:id="x">'
    seats = ""
    for meeting in ("ES2002a", "ES2011b", "EN2002c"):
        people = "".join(f'<speaker nxt_agent="{agent}" channel="{channel}" global_name="FEE00{channel}"/>'
                         for agent, channel in (("A", 1), ("B", 0)))  # fmt: skip
        seats += f'<meeting observation="{meeting}">{people}</meeting>'
        for agent, channel in (("A", 1), ("B", 0)):
            sound(folder / f"amicorpus/{meeting}/audio/{meeting}.Headset-{channel}.wav", seconds=4.0)
            write(folder / f"words/{meeting}.{agent}.words.xml", head,
                  '<w starttime="0.5" endtime="0.8">Okay</w><w starttime="0.8" endtime="0.8" punc="true">.</w>',
                  '<vocalsound starttime="0.9" endtime="1.0" type="laugh"/>',
                  '<w starttime="2.1" endtime="2.4">The</w><w starttime="2.4" endtime="2.9">T_V_</w>', "</nite:root>")
            write(folder / f"segments/{meeting}.{agent}.segments.xml", head,
                  '<segment transcriber_start="0.3" transcriber_end="1.1"/>',
                  '<segment transcriber_start="1.1" transcriber_end="1.9"/>',
                  '<segment transcriber_start="2.0" transcriber_end="3.0"/>', "</nite:root>")  # fmt: skip
    write(folder / "corpusResources/meetings.xml", head, seats, "</nite:root>")
    return folder


def test_ami(tmp_path: Path) -> None:
    corpus = AmiCorpus(ami(tmp_path))
    found = prepare(corpus, corpus.splits, tmp_path / "data")
    assert {split: counts["utterances"] for split, counts in found.items()} == {"train": 4, "dev": 4, "test": 4}
    dev = DataDir(tmp_path / "data/dev")
    assert validate(dev.path) == [] and dev.text is not None and dev.wav_scp is not None
    assert dev.text["ES2011b-FEE001-0000200-0000300"] == "The T V"
    assert dev.wav_scp["ES2011b.Headset-1"].endswith("ES2011b.Headset-1.wav")
    assert read_audio(dev.wav_scp["ES2011b.Headset-1"])[1] == 16000
    assert found["dev"]["dropped, without words"] == 2
    next((tmp_path / "amicorpus/ES2011b").rglob("*-1.wav")).unlink()
    with pytest.raises(UserError, match="no ES2011b.Headset-1.wav"):
        list(AmiCorpus(tmp_path).utterances("dev"))
    assert len(list(AmiCorpus(tmp_path, allow_partial=True).utterances("dev"))) == 2
