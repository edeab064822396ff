"""ReazonSpeech in its publisher's layout."""

from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.corpora.base import prepare
from speechlm.corpora.reazonspeech import ReazonspeechCorpus
from speechlm.io.datadir import DataDir, validate
from test.corpora.miniature import sound, write


@pytest.mark.parametrize(("tables", "clips"), [("tsv", "data"), (".", ".")])
def test_clips_with_transcripts_are_listed_and_the_rest_is_counted(tmp_path: Path, tables: str, clips: str) -> None:
    lines = [
        "000/0a1.flac\tきょうのニュースをお伝えします。",
        "001/0b2.flac\t",
        "001/0c3.flac\tありがとうございました。",
    ]
    write(tmp_path / "r" / tables / "tiny.tsv", *lines)
    for name in ("000/0a1", "001/0b2"):
        sound(tmp_path / "r" / clips / f"{name}.flac")
    found = prepare(ReazonspeechCorpus(tmp_path / "r"), ["tiny"], tmp_path / "data")["tiny"]
    assert (found["utterances"], found["dropped, without transcript"], found["dropped, without audio"]) == (1, 1, 1)
    assert DataDir(tmp_path / "data/tiny").text == {"000-0a1": "きょうのニュースをお伝えします。"}
    assert validate(tmp_path / "data/tiny") == []


def test_what_is_not_the_corpus_is_told(tmp_path: Path) -> None:
    corpus = ReazonspeechCorpus(tmp_path)
    with pytest.raises(UserError, match="tsv/small.tsv: not found"):
        list(corpus.utterances("small"))
    with pytest.raises(UserError, match="no split 'train'"):
        list(corpus.utterances("train"))
    write(tmp_path / "small.tsv", "no tab")
    with pytest.raises(UserError, match="small.tsv:1: must be"):
        list(corpus.utterances("small"))
