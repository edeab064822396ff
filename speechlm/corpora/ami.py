"""English meetings: the AMI corpus, individual headset microphones with the manual annotations (CC BY 4.0)."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance

NITE = "{http://nite.sourceforge.net/}"
DEV = {"ES2011", "IB4001", "IB4002", "IB4003", "IB4004", "IB4010", "IB4011", "IS1008", "TS3004"}
TEST = {"ES2004", "EN2002", "IS1009", "TS3003"}
"""Series of meetings of the corpus's own partition for recognition; all others are for training."""


class AmiCorpus(Corpus):
    """English meetings of three to five people, 100 hours, each speaker on a headset microphone: 80 h to train on.

    The published trees, both in --corpus_dir (or its folder `ami`): annotations `words/ES2002a.A.words.xml`,
    `segments/ES2002a.A.segments.xml`, `corpusResources/meetings.xml` (also in `ami_public_manual_1.6.2/`), and audio
    `amicorpus/ES2002a/audio/ES2002a.Headset-0.wav`. An utterance is a segment of the annotation; a speaker is a person
    in a meeting, so that what was said before and after is found.

    Options:
        allow_partial: accept that some meetings of the annotation have no audio (they are counted).
    """

    url = "https://groups.inf.ed.ac.uk/ami/download"

    def __init__(self, folder: Path, *, allow_partial: bool = False) -> None:
        super().__init__(folder)
        self.allow_partial = allow_partial

    @property
    def annotations(self) -> Path:
        """The folder that holds words, segments and corpusResources."""
        for inner in ("ami_public_manual_1.6.2", "annotations", "ami/annotations", "ami"):
            if (self.folder / inner / "words").is_dir():
                return self.folder / inner
        return self.folder

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the segments with words of a split."""
        self.check_split(split, self.splits)
        people = self._people(self.need(self.annotations / "corpusResources" / "meetings.xml"))
        audio = {path.stem: path for path in sorted(self.folder.rglob("*.Headset-*.wav"))}
        for path in sorted(self.need(self.annotations / "segments").glob("*.segments.xml")):
            meeting, agent = path.name.split(".")[:2]
            if split_of(meeting) != split:
                continue
            if (meeting, agent) not in people:
                raise UserError(f"{self.annotations}/corpusResources/meetings.xml: has no speaker {agent} of {meeting}")
            channel, person = people[meeting, agent]
            recording = f"{meeting}.Headset-{channel}"
            if recording in audio:
                yield from self._side(path, audio[recording], f"{meeting}-{person}")
            elif self.allow_partial:
                self.drop("sides without audio")
            else:
                raise UserError(f"{self.folder}: no {recording}.wav; get it, or say --allow_partial true")

    def _people(self, path: Path) -> dict[tuple[str, str], tuple[str, str]]:
        """Read who sits where: (meeting, agent) -> (channel, person)."""
        return {
            (meeting.get("observation", ""), speaker.get("nxt_agent", "")):
                (speaker.get("channel", ""), speaker.get("global_name", ""))
            for meeting in parse(path).iter("meeting") for speaker in meeting.iter("speaker")
        }  # fmt: skip

    def _side(self, segments: Path, audio: Path, speaker: str) -> Iterator[Utterance]:
        """List one person's segments with the words that lie in them."""
        name = segments.name.replace(".segments.xml", ".words.xml")
        words = read_words(self.need(self.annotations / "words" / name))
        for segment in parse(segments).iter("segment"):
            try:
                start, end = float(segment.get("transcriber_start", "")), float(segment.get("transcriber_end", ""))
            except ValueError:
                raise UserError(f"{segments}: segment {segment.get(NITE + 'id')} has no transcriber_start and _end") from None
            text = " ".join(word for middle, word in words if start <= middle < end)
            if not text or end <= start:
                self.drop("without words")
                continue
            utt = f"{speaker}-{round(100 * start):07d}-{round(100 * end):07d}"
            yield Utterance(utt, speaker, str(audio), text, start, end, audio.stem)


def split_of(meeting: str) -> str:
    """Name the split of a meeting: ES2002a is of the series ES2002."""
    series = meeting.rstrip("abcdefgh")
    return "dev" if series in DEV else "test" if series in TEST else "train"


def parse(path: Path) -> ElementTree.Element:
    """Read an XML file; UserError with file and line where it is none."""
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}:{error.position[0]}: not XML ({error}); get the annotations again") from None


def read_words(path: Path) -> list[tuple[float, str]]:
    """Read (middle in seconds, word) of the words with times; punctuation is none, `T_V_` is `T V`."""
    found = []
    for word in parse(path).iter("w"):
        text = " ".join((word.text or "").replace("_", " ").split())
        if word.get("punc") != "true" and text and word.get("starttime") and word.get("endtime"):
            found.append(((float(word.get("starttime", 0)) + float(word.get("endtime", 0))) / 2, text))
    return found
