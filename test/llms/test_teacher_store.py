"""What a teacher said is kept: once per input, in 16 bit, found again by any process, never mistaken for another."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.llms.teacher import TextTeacher
from speechlm.llms.teacher_store import Lesson, TeacherStore
from test.corpora.telephone import tiny_bert

CPU = torch.device("cpu")
LESSONS = [Lesson([1, 2, 3], 1, [[0], [1]]), Lesson([4, 5], 0, []), Lesson([1, 2, 3], 0, [[0]])]


class Model:
    """Says two layers of the sum of the ids at each word, and counts how often it is asked."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale, self.asked = scale, 0

    def __call__(self, lessons: list[Lesson], device: torch.device) -> list[Seq]:
        self.asked += len(lessons)
        rows = [torch.full((len(lesson.words), 3), sum(lesson.ids) * self.scale + lesson.start) for lesson in lessons]
        return [Seq.of(rows), Seq.of([-row for row in rows])]


def test_asked_once_and_the_same_from_the_first_time_on(tmp_path: Path) -> None:
    model = Model(scale=1 / 3)
    store = TeacherStore(model, tmp_path, "key")
    first = store(LESSONS, CPU)
    again = store([LESSONS[2], LESSONS[0]], CPU)
    other = TeacherStore(Model(), tmp_path, "key")(LESSONS, CPU)  # another process: it must not need its model
    assert model.asked == 3 and (store.asked, store.known) == (5, 2)
    assert [layer.lens.tolist() for layer in first] == [[2, 0, 1], [2, 0, 1]]
    for k in range(2):
        assert torch.equal(first[k].data, other[k].data)
        assert torch.equal(again[k].rows()[1], first[k].rows()[0]) and torch.equal(again[k].rows()[0], first[k].rows()[2])
    assert first[0].data[0, 0, 0] == torch.tensor(3.0).half().float() and (first[1].data <= 0).all()


def test_another_key_input_or_word_is_another_entry(tmp_path: Path) -> None:
    TeacherStore(Model(), tmp_path, "key")(LESSONS, CPU)
    other = Model()
    TeacherStore(other, tmp_path, "another")(LESSONS, CPU)
    assert other.asked == 3
    TeacherStore(other, tmp_path, "key")([LESSONS[0]._replace(words=[[0, 1]]), LESSONS[0]._replace(start=0)], CPU)
    assert other.asked == 5


def test_a_killed_process_leaves_whole_entries_only(tmp_path: Path) -> None:
    TeacherStore(Model(), tmp_path, "key")(LESSONS, CPU)
    index = next(tmp_path.glob("*.index"))
    index.write_text(index.read_text()[:-5])
    model = Model()
    TeacherStore(model, tmp_path, "key")(LESSONS, CPU)
    assert model.asked == 1


def test_a_file_that_lost_its_end_is_told(tmp_path: Path) -> None:
    TeacherStore(Model(), tmp_path, "key")(LESSONS, CPU)
    data = next(tmp_path.glob("*.f16"))
    data.write_bytes(data.read_bytes()[:-2])
    with pytest.raises(UserError, match=r"\.f16: shorter than its index says; remove"):
        TeacherStore(Model(), tmp_path, "key")(LESSONS, CPU)


def test_what_16_bit_cannot_hold_is_not_kept(tmp_path: Path) -> None:
    model = Model(scale=1e6)
    store = TeacherStore(model, tmp_path, "key")
    for _ in range(2):
        store(LESSONS[:1], CPU)
    assert model.asked == 2


def test_a_teacher_with_a_store(tmp_path: Path) -> None:
    """Vectors are those without a store, rounded; the model runs once; what changes every time cannot be kept."""
    bert = str(tiny_bert(tmp_path / "bert"))
    texts = ["the weather in texas", "yeah my dog"]
    batch = Batch(["a", "b"], Seq(torch.zeros(2, 0), torch.tensor([0, 0])), torch.zeros(2), texts)

    def spell(text: str) -> list[int]:
        return [2] * len(text)

    plain = TextTeacher(spell, checkpoint=bert)(batch)
    kept = TextTeacher(spell, checkpoint=bert, store=str(tmp_path / "store"))
    runs: list[int] = []
    kept.model.register_forward_pre_hook(lambda *_: runs.append(1))
    for _ in range(2):
        for (places, values), (same, rounded) in zip(plain, kept(batch), strict=True):
            assert torch.equal(places.data, same.data)
            torch.testing.assert_close(rounded.data, values.data, atol=2e-3, rtol=2e-3)
    assert len(runs) == 1
    for options in ({"context": 4, "mask": 0.1}, {"layers": "random"}):
        with pytest.raises(UserError, match="store needs vectors that stay the same"):
            TextTeacher(spell, [["a", "b"]], {}, checkpoint=bert, store=str(tmp_path / "s"), **options)  # type: ignore[arg-type]
