import json
from dataclasses import replace

import pytest

from speechlm.core.errors import UserError
from speechlm.core.registry import kinds, load, signature
from speechlm.corpora.base import Corpus, Utterance, prepare, write_data_dir
from speechlm.io.datadir import DataDir
from test.corpora.miniature import SECONDS, sound


def test_every_kind_is_a_corpus_whose_options_have_a_sentence():
    for kind in kinds("corpus"):
        assert issubclass(load("corpus", kind), Corpus)
        assert load("corpus", kind).url
        found = signature("corpus", kind)
        assert found.summary.endswith("."), kind
        assert all(option.sentence.endswith(".") for option in found.options), kind


def test_options_of_the_same_name_are_the_same():
    types = {}
    for kind in kinds("corpus"):
        for option in signature("corpus", kind).options:
            assert types.setdefault(option.name, option.annotation) == option.annotation, option.name


@pytest.fixture
def utterances(tmp_path):
    return [
        Utterance("b-2", "b", str(sound(tmp_path / "2.wav")), "two words", gender="f"),
        Utterance("a-1", "a", str(sound(tmp_path / "1.flac", rate=8000)), ""),
        Utterance("b-1", "b", "cat 3.wav |", "three", seconds=1.5, gender="f"),
    ]


def test_tables_of_whole_files(utterances, tmp_path):
    found = write_data_dir(utterances, tmp_path / "data")
    assert found == {"utterances": 3, "speakers": 2, "seconds": pytest.approx(1.5 + 2 * SECONDS)}
    data = DataDir(tmp_path / "data")
    assert data.wav_scp == {"a-1": str(tmp_path / "1.flac"), "b-1": "cat 3.wav |", "b-2": str(tmp_path / "2.wav")}
    assert data.text == {"a-1": "", "b-1": "three", "b-2": "two words"}
    assert data.utt2spk == {"a-1": "a", "b-1": "b", "b-2": "b"}
    assert data.spk2utt == {"a": "a-1", "b": "b-1 b-2"}
    assert data.utt2dur == {"a-1": "0.200", "b-1": "1.500", "b-2": "0.200"}
    assert data.segments is None
    assert (tmp_path / "data" / "spk2gender").read_text() == "b f\n"


def test_tables_of_parts_of_recordings(tmp_path):
    place = str(sound(tmp_path / "talk.wav", seconds=3.0))
    parts = [
        Utterance("s-1", "s", place, "one", 0.5, 1.25, "talk"),
        Utterance("s-2", "s", place, "two", 2.0, None, "talk", channel=0),
    ]
    write_data_dir(parts, tmp_path / "data")
    data = DataDir(tmp_path / "data")
    assert data.wav_scp == {"talk": place}
    assert data.segments == {"s-1": "talk 0.500 1.250", "s-2": "talk 2.000 3.000 0"}
    assert data.utt2dur == {"s-1": "0.750", "s-2": "1.000"}
    assert len(data.audio("s-1")) == 12000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "a-1"}, "utterance 'a-1' comes twice"),
        ({"audio": "/nowhere/x.wav"}, "/nowhere/x.wav: no such audio file"),
        ({"start": 0.0, "end": 0.1}, "1 of 3 utterances have a start"),
        ({"id": "a/1"}, "slash in the id"),
    ],
)
def test_nothing_is_left_of_a_folder_that_fails(change, message, utterances, tmp_path):
    with pytest.raises(UserError, match=message):
        write_data_dir([*utterances[1:], replace(utterances[0], **change)], tmp_path / "data")
    assert not (tmp_path / "data").exists()


class TwoSplits(Corpus):
    url = "https://example.org"
    splits = ("train", "test")

    def expected(self, split):
        return {"train": 1, "test": 2}[split]

    def utterances(self, split):
        self.drop("too short")
        yield Utterance("u", "s", "cat |", "t", seconds=1.0)


def test_counts_are_checked_and_told(tmp_path):
    corpus = TwoSplits(tmp_path)
    assert prepare(corpus, ["train"], tmp_path / "data")["train"]["dropped, too short"] == 1
    with pytest.raises(UserError, match="test has 1 utterances, the complete corpus has 2"):
        prepare(corpus, ["test"], tmp_path / "data")
    assert json.loads((tmp_path / "data/prepared.json").read_text())["train"]["utterances"] == 1
    with pytest.raises(UserError, match="--download: nothing can be downloaded here"):
        corpus.fetch()


def test_empty_split(tmp_path):
    with pytest.raises(UserError, match="the split has no utterance"):
        write_data_dir([], tmp_path / "data")
