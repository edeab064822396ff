"""From a data directory's audio or features to archives of a frozen encoder's outputs: one job's share, with counted skips."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from torch import nn

from speechlm.core.errors import UserError
from speechlm.core.log import progress
from speechlm.core.seq import Seq
from speechlm.features.extract import Job, too_many
from speechlm.io.archive import ArkWriter
from speechlm.io.datadir import DataDir
from speechlm.io.files import atomic_open
from speechlm.io.recordings import Recordings
from speechlm.io.resample import resample
from speechlm.io.tables import read_table

RATE = 16000
FRAMES = 100
"""Rows of features in a second."""
logger = logging.getLogger("speechlm")
Group = list[tuple[str, np.ndarray]]
Read = Callable[[str], np.ndarray]


def store(
    encoder: nn.Module,
    job: Job,
    *,
    stem: str,
    batch_seconds: float,
    device: str,
    compress: int = 0,
    max_skip_share: float = 0.05,
    allow_pipes: bool = False,
    rows: Read | None = None,
) -> int:
    """Write the encoder's outputs of a job's share to STEM.ark, STEM.scp and STEM.frames; give how many were written.

    rows: gives the features (T, D) of an utterance, 10 ms a row, for an encoder that reads those; None for one of audio.

    A share that is there already, complete, is left as it is. A bad utterance is a log line and is left out.

    Raises: UserError when more than max_skip_share of the share is bad; then nothing is written.
    """
    data = DataDir(job.data)
    ids = job.ids(data)
    scp = Path(f"{stem}.scp")
    if scp.exists() and set(read_table(scp)) == set(ids):
        logger.info("%s: there already, %d utterances", scp, len(ids))
        return len(ids)
    skipped: list[str] = []
    encoder = encoder.to(device).eval()
    with ExitStack() as stack:
        archive = stack.enter_context(ArkWriter(f"{stem}.ark", scp, compress))
        frames = stack.enter_context(atomic_open(f"{stem}.frames"))
        bar = progress(ids, total=len(ids), what=f"encode {job.data}, job {job.job}/{job.num_jobs}")
        read, per_second = (rows, FRAMES) if rows else (_waves(data, allow_pipes), RATE)
        for group in _groups(read, bar, batch_seconds * per_second, skipped):
            for (utt, _), output in zip(group, encode_group(encoder, group, device), strict=True):
                archive.write(utt, output)
                frames.write(f"{utt} {len(output)}\n")
        if len(skipped) > max_skip_share * len(ids):
            raise UserError(too_many(skipped, len(ids), max_skip_share, job.data))
    logger.info("%s: %d utterances, %d skipped", scp, len(ids) - len(skipped), len(skipped))
    return len(ids) - len(skipped)


@torch.inference_mode()
def encode_group(encoder: nn.Module, group: Group, device: str) -> list[np.ndarray]:
    """Encode utterances together; each output (T, dim) float32 is what the utterance gives alone."""
    speech = Seq.of([torch.from_numpy(values) for _, values in group]).to(device)
    return [row.float().cpu().numpy() for row in encoder(speech).rows()]


def _waves(data: DataDir, allow_pipes: bool) -> Read:
    """Make the function that reads an utterance's audio."""
    reader = Recordings(data, allow_pipes=allow_pipes)

    def read(utt: str) -> np.ndarray:
        samples, rate = reader.read(utt)
        return np.ascontiguousarray(resample(samples, rate, RATE), dtype=np.float32)

    return read


def _groups(read: Read, ids: Iterator[str], most: float, skipped: list[str]) -> Iterator[Group]:
    """Read what the encoder is given, and group neighbours while the padded batch has at most `most` steps."""
    group: Group = []
    for utt in ids:
        try:
            values = read(utt)
        except UserError as error:
            logger.warning("skipped %s: %s", utt, error)
            skipped.append(utt)
            continue
        longest = max(len(values), *(len(other) for _, other in group), 0)
        if group and longest * (len(group) + 1) > most:
            yield group
            group = []
        group.append((utt, values))
    if group:
        yield group
