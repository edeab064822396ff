"""English telephone conversations: Switchboard-1 (LDC97S62) with eval2000 (LDC2002S09, T43) and RT-03 (LDC2007S10)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.hub5 import HESITATIONS, Turn, inside, plain_glm, read_pem, read_stm, reference_words
from speechlm.corpora.swbd_text import keep_at_most, plain_words, spelled_acronyms
from speechlm.io.files import atomic_open

SIDE = re.compile(r"sw0?(\d{4})([AB])-ms98-a-trans\.text")
TESTS = ("eval2000", "rt03")


def files_below(folders: Iterable[Path], ending: str) -> list[Path]:
    """Find files by the end of their names, any case, links to folders followed (LDC's discs often are links)."""
    found = []
    for folder in folders:
        for place, _, names in os.walk(folder, followlinks=True):
            found += [Path(place) / name for name in names if name.lower().endswith(ending)]
    return sorted(found)


class SwbdCorpus(Corpus):
    """English telephone conversations, 300 hours to train on, and the tests eval2000 (SWB and CallHome) and rt03.

    LDC's trees as they are, in --corpus_dir or in `more`: two-channel `*.sph`; the Mississippi State transcripts
    `swb_ms98_transcriptions/20/2001/sw2001A-ms98-a-trans.text` with `sw-ms98-dict.text`;
    `reference/hub5e00.english.000405.stm` with its glm and pem; `references/eval03/english/cts/*.stm`. The tests are
    prepared where their references are found. Ids and sides (the speakers) are named as in Kaldi's recipe.

    Splits: dev is the first conversations, whole ones, until it has `dev_utterances`; train the others.

    Options:
        more: further folders with parts of the corpus (tests, transcripts).
        dev_utterances: size of dev, at least; Kaldi's recipe has 4,000 (5 h).
        max_same: utterances of train that may have the same transcript, 0 for no limit (Kaldi: 300, for 286 h).
    """

    url = "https://catalog.ldc.upenn.edu/LDC97S62"
    splits = ("train", "dev", *TESTS)

    def __init__(
        self, folder: Path, *, more: list[str] = [], dev_utterances: int = 4000, max_same: int = 300  # noqa: B006
    ) -> None:
        super().__init__(folder)
        self.folders = [folder, *map(Path, more)]
        self.dev_utterances, self.max_same = dev_utterances, max_same
        for place in self.folders:
            self.need(place)

    @cached_property
    def audio(self) -> dict[str, Path]:
        """Where each recording lies, by its name in lower case: sw02001, en_4156."""
        return {path.stem.lower(): path for path in files_below(self.folders, ".sph")}

    @cached_property
    def conversations(self) -> dict[str, list[Utterance]]:
        """The utterances with words of every conversation that has audio, in order."""
        sides = [path for path in files_below(self.folders, "-ms98-a-trans.text") if SIDE.fullmatch(path.name)]
        if not sides:
            raise UserError(f"{self.folder}: no swb_ms98_transcriptions/*/*/sw*-ms98-a-trans.text; get them (openly, from "
                            "www.openslr.org/5) and give their folder with --more")  # fmt: skip
        dictionaries = files_below(self.folders, "sw-ms98-dict.text")
        spelled = spelled_acronyms(dictionaries[0]) if dictionaries else {}
        found: dict[str, list[Utterance]] = {}
        for path in sides:
            name = f"sw0{SIDE.fullmatch(path.name).group(1)}"  # type: ignore[union-attr]
            found.setdefault(name, []).extend(self._side(path, name, spelled))
        return {name: found[name] for name in sorted(found) if found[name]}

    def _side(self, path: Path, name: str, spelled: dict[str, str]) -> Iterator[Utterance]:
        """Read one side's transcript."""
        side = SIDE.fullmatch(path.name).group(2)  # type: ignore[union-attr]
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            fields = line.split(None, 3)
            try:
                start, end = float(fields[1]), float(fields[2])
            except (IndexError, ValueError):
                raise UserError(f"{path}:{number}: must be 'id start end words', is '{line}'") from None
            text = plain_words(fields[3], spelled) if len(fields) > 3 else ""
            if name not in self.audio:
                self.drop("without audio")
            elif not text or end <= start:
                self.drop("without words")
            else:
                turn = Turn(name, side, f"{name}-{side}", start, end, text)
                yield self._utterance(turn, text)

    def _utterance(self, turn: Turn, text: str) -> Utterance:
        speaker = f"{turn.file}-{'AB'[turn.side]}"
        return Utterance(turn.id, speaker, str(self.audio[turn.file.lower()]), text, turn.start, turn.end, turn.file, turn.side)

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the utterances of a split."""
        self.check_split(split, self.splits)
        if split in TESTS:
            yield from self._test(split)
            return
        dev: list[Utterance] = []
        rest: list[Utterance] = []
        for conversation in self.conversations.values():
            (dev if len(dev) < self.dev_utterances else rest).extend(conversation)
        if split == "dev":
            yield from dev
            return
        kept = keep_at_most(((one.id, one.text) for one in rest), self.max_same)
        for one in rest:
            if one.id in kept:
                yield one
            else:
                self.drop("same words too often")

    def _references(self, split: str) -> list[Path]:
        """Find the stm files of a test."""
        found = files_below(self.folders, ".stm")
        if split == "eval2000":
            return [path for path in found if path.name.startswith("hub5e00.english")]
        return [path for path in found if "eval03" in path.parts and "cts" in path.parts]

    def _test(self, split: str) -> Iterator[Utterance]:
        stms = self._references(split)
        if not stms:
            raise UserError(f"{self.folder}: no stm of {split}; give its folder with --more, or leave it out with --splits")
        parts = self._partition(split)
        for turn in (turn for stm in stms for turn in read_stm(stm)):
            text = reference_words(turn.words)
            if turn.file.lower() not in self.audio:
                raise UserError(f"{stms[0]}: no {turn.file}.sph in {', '.join(map(str, self.folders))}")
            if parts and not inside(turn, parts):
                self.drop("outside of the partition")
            elif not text:
                self.drop("only optional words")
            else:
                yield self._utterance(turn, text)

    def _partition(self, split: str) -> dict[tuple[str, int], list[tuple[float, float]]]:
        """Read what is to be recognised; {} where there is no pem, then it is all that the stm has."""
        pems = [pem for pem in files_below(self.folders, ".pem") if (split == "rt03") == ("eval03" in pem.parts)]
        return {key: times for pem in pems for key, times in read_pem(pem).items()}

    def finish(self, split: str, folder: Path) -> None:
        """Write stm (of the partition) and glm as NIST has them, and `glm_plain`, what our own scorer can use of it."""
        if split not in TESTS:
            return
        with atomic_open(folder / "stm") as file:
            parts = self._partition(split)
            for path in self._references(split):
                left = {turn.number for turn in read_stm(path) if parts and not inside(turn, parts)}
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                file.writelines(f"{line}\n" for number, line in enumerate(lines, start=1) if number not in left)
        wanted = "hub5" if split == "eval2000" else "en2003"
        glms = [path for path in files_below(self.folders, ".glm") if wanted in path.name]
        rules = [f"[{word}] => [%hesitation] / [ ] __ [ ]" for word in HESITATIONS]
        if glms:
            rules = glms[0].read_text(encoding="utf-8", errors="replace").splitlines()
            with atomic_open(folder / "glm") as file:
                file.writelines(f"{rule}\n" for rule in rules)
        with atomic_open(folder / "glm_plain") as file:
            file.writelines(f"{rule}\n" for rule in plain_glm(rules))
