"""Batches for training and validation: read in worker processes, resumable in O(1), unreadable utterances counted."""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, get_worker_info

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.data.collate import collate
from speechlm.data.mix import ExampleSet
from speechlm.data.sampler import DurationSampler

LOGGER = logging.getLogger(__name__)

Key = tuple[int, list[int]]
"""Epoch and indices of one batch."""

STAND_INS = 100
"""How many neighbours are tried when not one utterance of a batch can be read."""


class Loader:
    """Batches of a data set in the order of a sampler.

    The position counts the batches that were handed out, not those that workers have read ahead: saved after a step and
    loaded again, the next batch is the one that would have come. An utterance that cannot be read is left out of its
    batch, named once in the log and counted; when more than `unreadable_share` of the set (and more than one utterance)
    cannot be read, loading stops with a UserError. A batch of which nothing can be read becomes one readable neighbour,
    so that every rank still gets its batch.

    workers: processes that read; 0 reads in this process.
    """

    def __init__(
        self, dataset: ExampleSet, sampler: DurationSampler, *, workers: int = 0, unreadable_share: float = 0.01
    ) -> None:
        self.dataset, self.sampler, self.workers = dataset, sampler, workers
        self.unreadable: dict[str, str] = {}
        self.allowed = max(1, math.floor(unreadable_share * len(dataset)))
        self._reader = _Reader(dataset, workers)
        if workers:
            dataset.preload()

    def __len__(self) -> int:
        """Number of batches in this epoch on this rank."""
        return len(self.sampler)

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to, from 0."""
        return self.sampler.epoch

    def __iter__(self) -> Iterator[Batch]:
        """Give the rest of this epoch; the position stays where the epoch began or was left."""
        yield from self._read([(self.sampler.epoch, batch) for batch in self.sampler])

    def endless(self) -> Iterator[Batch]:
        """Give batches for ever, epoch after epoch, and move the position with each."""
        for batch in self._read(_Keys(self.sampler)):
            self.sampler.advance()
            yield batch

    def largest(self) -> Batch:
        """Give the batch with the most padded seconds of this epoch, for a trial of the memory."""
        batch, unreadable = self._reader[(self.sampler.epoch, self.sampler.largest())]
        self._count(unreadable)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Give the position."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a position."""
        self.sampler.load_state_dict(state)

    def _read(self, keys: Iterable[Key]) -> Iterator[Batch]:
        loader = DataLoader(
            self._reader,
            sampler=keys,
            batch_size=None,
            num_workers=self.workers,
            collate_fn=_same,
            worker_init_fn=_start_worker if self.workers else None,
        )
        try:
            for batch, unreadable in loader:
                self._count(unreadable)
                yield batch
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UserError(self._reader.epitaph(str(error))) from error

    def _count(self, unreadable: dict[str, str]) -> None:
        for utt, reason in unreadable.items():
            if utt not in self.unreadable:
                self.unreadable[utt] = reason
                LOGGER.warning("%s cannot be read and is left out (%d so far): %s", utt, len(self.unreadable), reason)
        if len(self.unreadable) > self.allowed:
            utt, reason = next(iter(self.unreadable.items()))
            raise UserError(
                f"{len(self.unreadable)} of {len(self.dataset)} utterances cannot be read, {self.allowed} are allowed; "
                f"mend the data, the first is {utt}: {reason}"
            )


class _Keys:
    """The batches of a sampler from its position on, for ever; the sampler itself does not move."""

    def __init__(self, sampler: DurationSampler) -> None:
        self.sampler = sampler

    def __iter__(self) -> Iterator[Key]:
        sampler, index = self.sampler, self.sampler.index
        for epoch in itertools.count(sampler.epoch):
            for batch in sampler.batches_of(epoch)[index:]:
                yield epoch, batch.tolist()
            index = 0


class _Reader:
    """Reads whole batches by key, in whichever process; remembers where each worker is, in case it dies."""

    def __init__(self, dataset: ExampleSet, workers: int) -> None:
        self.dataset = dataset
        self.places = torch.full((max(1, workers), 2), -1, dtype=torch.int64).share_memory_()  # pid, index

    def __getitem__(self, key: Key) -> tuple[Batch, dict[str, str]]:
        epoch, indices = key
        examples, unreadable = [], {}
        stand_ins = [(indices[0] + k) % len(self.dataset) for k in range(1, STAND_INS + 1)]
        for turn, index in enumerate(itertools.chain(indices, stand_ins)):
            if turn >= len(indices) and examples:
                break
            self._here(index)
            try:
                examples.append(self.dataset.read(index, epoch))
            except (UserError, OSError) as error:
                unreadable[self.dataset.ids[index]] = str(error)
        self._here(-1)
        if not examples:
            utt, reason = next(iter(unreadable.items()))
            raise UserError(f"{len(unreadable)} utterances in a row cannot be read; the first is {utt}: {reason}")
        return collate(examples), unreadable

    def _here(self, index: int) -> None:
        worker = get_worker_info()
        if worker is not None:
            self.places[worker.id, 0], self.places[worker.id, 1] = os.getpid(), index

    def epitaph(self, message: str) -> str:
        """Say which utterance a dead worker was reading."""
        dead = {int(pid) for pid in re.findall(r"\d+", message)}
        reading = [self.dataset.ids[index] for pid, index in self.places.tolist() if pid in dead and index >= 0]
        where = f"while it read {', '.join(reading)}" if reading else "between two utterances"
        return (
            f"a data worker died {where} ({message.splitlines()[0]}); look at that file, or at the memory that is left"
        )


def _same(item: tuple[Batch, dict[str, str]]) -> tuple[Batch, dict[str, str]]:
    return item


def _start_worker(worker: int) -> None:
    """Let the training process decide: a signal to the whole job must not kill the workers under it."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
