"""The loader: the same batches whatever the number of workers and wherever it was stopped; faults are counted."""

from __future__ import annotations

import logging
import os
import signal
from itertools import islice

import pytest
import torch

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.data.loader import Loader
from speechlm.data.sampler import DurationSampler
from test.training.toy import ToySet


def loader(data: ToySet | None = None, workers: int = 0, **given: float) -> Loader:
    data = data or ToySet()
    return Loader(data, DurationSampler(data.sizes, batch_seconds=2.0, seed=1), workers=workers, **given)


def take(source: Loader, count: int) -> list[tuple[list[str], float]]:
    return [fingerprint(batch) for batch in islice(source.endless(), count)]


def fingerprint(batch: Batch) -> tuple[list[str], float]:
    return batch.ids, float(batch.speech.data.sum())


def test_workers_change_nothing() -> None:
    count = 2 * len(loader()) + 3
    assert take(loader(workers=2), count) == take(loader(), count)


@pytest.mark.parametrize("workers", [0, 2])
def test_goes_on_where_it_stopped(workers: int) -> None:
    """Workers read ahead; the position counts what was handed out."""
    whole = take(loader(), 30)
    one = loader(workers=workers)
    first = take(one, 11)
    other = loader(workers=workers)
    other.load_state_dict(one.state_dict())
    assert first + take(other, 19) == whole


def test_epochs_differ_and_hold_every_utterance() -> None:
    one = loader()
    size = len(one)
    first, second = take(one, size), take(one, len(one))
    assert one.epoch == 2
    for epoch in (first, second):
        assert sorted(utt for ids, _ in epoch for utt in ids) == ToySet().ids
    assert first != second


def test_iterating_gives_one_epoch_and_keeps_the_position() -> None:
    one = loader()
    assert [fingerprint(b) for b in one] == [fingerprint(b) for b in one]
    assert len(list(one)) == len(one) and one.epoch == 0


def test_largest_is_the_largest() -> None:
    one = loader()

    def size(batch: Batch) -> float:
        return len(batch) * float(batch.seconds.max())

    assert size(one.largest()) == max(size(batch) for batch in one)


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_utterance_is_named_counted_and_left_out(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    data = ToySet(100)
    data.broken = {"u007"}
    one = loader(data, workers)
    with caplog.at_level(logging.WARNING):
        read = take(one, 2 * len(one))
    assert one.unreadable == {"u007": "u007.wav: cannot be read"}
    assert caplog.text.count("u007 cannot be read") == 1, "once, although it came in two epochs"
    names = [utt for ids, _ in read for utt in ids]
    assert "u007" not in names and len(names) >= 2 * 99


def test_too_many_unreadable_utterances_stop() -> None:
    data = ToySet(100)
    data.broken = {"u007", "u008", "u009"}
    with pytest.raises(UserError, match=r"of 100 utterances cannot be read, 1 are allowed.*u00[789]"):
        take(loader(data), 200)
    assert take(loader(data, unreadable_share=0.05), 20)


def test_a_batch_without_a_readable_utterance_becomes_a_neighbour() -> None:
    data = ToySet(100)
    reader = loader(data)._reader
    data.broken = {"u007", "u008"}
    batch, unreadable = reader[(0, [7, 8])]
    assert batch.ids == ["u009"] and set(unreadable) == {"u007", "u008"}
    data.broken = set(data.ids)
    with pytest.raises(UserError, match="in a row"):
        reader[(0, [7, 8])]


class Deadly(ToySet):
    """Kills the process that reads one utterance, as a crash in a decoder would."""

    def read(self, index: int, epoch: int) -> object:  # type: ignore[override]
        if self.ids[index] == "u013" and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(index, epoch)


def test_a_dying_worker_is_told_with_its_utterance() -> None:
    with pytest.raises(UserError, match="worker died while it read u013"):
        take(loader(Deadly(), workers=1), 60)
