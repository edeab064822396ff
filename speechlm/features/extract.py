"""From a data directory to archives of features: one job's share, with counted skips."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from speechlm.core.errors import UserError
from speechlm.core.log import progress
from speechlm.core.signature import read_signature
from speechlm.features.fbank import Fbank
from speechlm.io.archive import ArkWriter
from speechlm.io.datadir import DataDir
from speechlm.io.files import atomic_open
from speechlm.io.recordings import Recordings
from speechlm.io.resample import resample
from speechlm.io.tables import iter_table

NOT_FBANK = ("cmvn",)  # options of the section 'features' that are used after this stage
ARENA = 30 << 20
logger = logging.getLogger("speechlm")


@dataclass(frozen=True)
class Job:
    """One of `num_jobs` shares (job from 1) of a data directory, or of the ids in the first column of a list."""

    data: str
    list: str | None = None
    job: int = 1
    num_jobs: int = 1

    def ids(self, data: DataDir) -> list[str]:
        """The utterances of the share: in C order, neighbours together, so that recordings are read once."""
        if not 1 <= self.job <= self.num_jobs:
            raise UserError(f"--job {self.job}: must lie between 1 and --num_jobs {self.num_jobs}")
        ids = sorted(key for key, _ in iter_table(self.list)) if self.list else data.ids()
        return ids[len(ids) * (self.job - 1) // self.num_jobs : len(ids) * self.job // self.num_jobs]


def features_of(config: str | None, given: dict[str, Any]) -> Fbank:
    """Make the features that a YAML's section `features` and the command line's options describe.

    given: options of the command line; those that are none of Fbank's are passed over.

    Raises: UserError for an unknown option or a value of the wrong type in the YAML, or a value out of range.
    """
    names = [option.name for option in read_signature("speechlm.features.fbank:Fbank").options]
    values: dict[str, Any] = {}
    if config:
        from speechlm.core.config import Config, read_config
        from speechlm.core.experiment import check

        read = read_config(config)
        section = read.values.get("features") or {}
        if isinstance(section, dict):
            section = {name: value for name, value in section.items() if name not in NOT_FBANK}
        own = Config({"features": section}, read.origin, read.path)
        values = check(own, {"features": ("speechlm.features.fbank:Fbank",)}, {}).values["features"]
    values.update(given)
    return Fbank(**{name: value for name, value in values.items() if name in names})


def extract(
    fbank: Fbank,
    job: Job,
    *,
    ark: str,
    scp: str,
    frames: str | None = None,
    compress: int = 0,
    max_skip_share: float = 0.05,
    allow_pipes: bool = False,
    allow_upsample: bool = False,
) -> int:
    """Write the features of a job's share to ark and scp, and their lengths to `frames`; give how many were written.

    A bad utterance (unreadable, empty, NaN, too short, of a lower rate without allow_upsample) is a log line and is
    left out.

    Raises: UserError when more than max_skip_share of the share is bad; then nothing is written.
    """
    # glibc gives blocks above a limit back to the system, which zeroes them anew for each utterance (a tenth of the
    # time); the limit rises to the largest block that was ever freed. Nothing is touched here, so it costs nothing.
    np.empty(ARENA, np.uint8)
    data = DataDir(job.data)
    ids = job.ids(data)
    reader = Recordings(data, allow_pipes=allow_pipes)
    skipped: list[str] = []
    with ExitStack() as stack:
        archive = stack.enter_context(ArkWriter(ark, scp, compress))
        lengths = stack.enter_context(atomic_open(frames)) if frames else None
        for utt in progress(ids, total=len(ids), what=f"fbank {job.data}, job {job.job}/{job.num_jobs}"):
            try:
                features = features_of_utterance(fbank, reader.read, utt, allow_upsample)
            except UserError as error:
                logger.warning("skipped %s: %s", utt, error)
                skipped.append(utt)
                continue
            archive.write(utt, features)
            if lengths:
                lengths.write(f"{utt} {len(features)}\n")
        if len(skipped) > max_skip_share * len(ids):
            raise UserError(too_many(skipped, len(ids), max_skip_share, job.data))
    written = len(ids) - len(skipped)
    logger.info("%s: %d utterances, %d skipped, %d features a frame", scp, written, len(skipped), fbank.dim)
    return written


def features_of_utterance(
    fbank: Fbank, read: Callable[[str], tuple[np.ndarray, int]], utt: str, allow_upsample: bool
) -> np.ndarray:
    """Compute (T, D) of one utterance, or raise UserError."""
    samples, rate = read(utt)
    if rate < fbank.rate and not allow_upsample:
        cure = f"use --rate {rate} or --allow_upsample true"
        raise UserError(f"sampled at {rate} Hz, the features want {fbank.rate} Hz; {cure}")
    features = fbank(resample(samples, rate, fbank.rate))
    if not len(features):
        raise UserError(f"too short: {len(samples) / rate:.3f} s, one frame needs {fbank.length / fbank.rate:.3f} s")
    return features


def too_many(skipped: list[str], total: int, share: float, data: str) -> str:
    """Say that too much of the set is bad, and which utterances."""
    names = ", ".join(skipped[:20]) + (f" and {len(skipped) - 20} more" if len(skipped) > 20 else "")
    what = f"{len(skipped)} of {total} utterances are bad, more than --max_skip_share {share:g}"
    return f"{data}: {what}: {names}; the lines above say why"
