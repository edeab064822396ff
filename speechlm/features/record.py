"""How a data directory's features were made: written beside feats.scp, and held against what an experiment says."""

from __future__ import annotations

import json
import logging
from itertools import islice
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.core.signature import read_signature
from speechlm.features.fbank import Fbank
from speechlm.io.archive import read_matrix
from speechlm.io.tables import iter_table

LOGGER = logging.getLogger(__name__)

NAME = "features.json"
LOOKED_AT = 10
"""Rows of feats.scp that are tried for their width: an unreadable one is counted where all are read, not here."""
_told: set[str] = set()


def record_line(fbank: Fbank) -> str:
    """Write the options of the features as one line of JSON, the content of `features.json`."""
    return json.dumps(fbank.options, ensure_ascii=False) + "\n"


def read_record(folder: Path) -> dict[str, Any] | None:
    """Read the options that the features of a data directory were made with; None where nothing tells (Kaldi's own).

    Options that are newer than the record have their defaults.

    Raises: UserError when the file is no record.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); compute the features again (stage 1)") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: must hold the options of the features; compute them again (stage 1)")
    return {option.name: option.default for option in read_signature("speechlm.features.fbank:Fbank").options} | found


def refuse_other_features(folder: Path, fbank: Fbank) -> None:
    """Refuse a data directory whose stored features are not those of `fbank`: a model of one kind cannot read another.

    Without a record the width is all that can be looked at; that this is so is told once for each directory.

    Raises: UserError with the options that differ, or the two widths.
    """
    if not (folder / "feats.scp").exists():
        return  # that it is missing is told where it is needed
    record = read_record(folder)
    cure = "run stage 1 again with --config and the experiment's YAML, or correct its section 'features'"
    if record is not None:
        other = [name for name in fbank.options if record.get(name) != fbank.options[name]]
        if other:
            made = ", ".join(f"{name} {record.get(name)}" for name in other)
            said = ", ".join(f"{name} {fbank.options[name]}" for name in other)
            raise UserError(f"{folder}/feats.scp: made with {made}, the experiment says {said}; {cure}")
        return
    width = stored_width(folder)
    if width is not None and width != fbank.dim:
        raise UserError(f"{folder}/feats.scp: rows of {width} values, the experiment says {fbank.dim}; {cure}")
    if str(folder) not in _told:
        _told.add(str(folder))
        LOGGER.info("%s: no %s tells how feats.scp was made; only its width (%s) was looked at", folder, NAME, width)


def stored_width(folder: Path) -> int | None:
    """Give the number of values of a frame in feats.scp; None where none of its first rows can be read."""
    for _, location in islice(iter_table(folder / "feats.scp"), LOOKED_AT):
        try:
            return int(read_matrix(location).shape[-1])
        except (UserError, OSError):
            continue
    return None
