"""Mandarin words of the HSK vocabulary, read by one speaker (audio-cmn)."""

from __future__ import annotations

from speechlm.corpora.kaldi import KaldiCorpus


class HskCorpus(KaldiCorpus):
    """Real Mandarin words as a pack of Kaldi data directories with MP3 audio (CC BY-SA, recordings by Yue Tan)."""

    url = "https://github.com/hugolpz/audio-cmn (64k/hsk), as data/{train,dev,test} with audio/*.mp3"
