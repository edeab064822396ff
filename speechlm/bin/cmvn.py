"""Compute mean and variance statistics of a data directory's features."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", metavar="DATA", help="data directory with feats.scp")
    parser.add_argument("--out", metavar="FILE", help="where the global statistics go (default DATA/cmvn.ark)")
    parser.add_argument(
        "--per_spk", nargs="?", const="true", default="false", choices=["true", "false"],
        help="write DATA/cmvn_per_spk.ark and DATA/cmvn.scp by speaker, too",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Add up the frames of every utterance and write the sums."""
    import logging

    from speechlm.core.errors import UserError
    from speechlm.core.log import progress
    from speechlm.features.cmvn import CmvnStats, save_per_speaker
    from speechlm.io.archive import read_matrix
    from speechlm.io.datadir import DataDir

    data = DataDir(args.data)
    feats = data.feats_scp
    if not feats:
        raise UserError(f"{args.data}/feats.scp: missing or empty; run the feature stage first")
    speakers = (data.utt2spk or {}) if args.per_spk == "true" else dict.fromkeys(feats, "all")
    stats: dict[str, CmvnStats] = {}
    for utt, location in progress(feats.items(), total=len(feats), what=f"cmvn {args.data}"):
        if utt not in speakers:
            raise UserError(f"{args.data}/utt2spk: no utterance {utt!r}; run utils/fix_data_dir.sh {args.data}")
        matrix = read_matrix(location)
        stats.setdefault(speakers[utt], CmvnStats(matrix.shape[-1])).accumulate(matrix)
    total = CmvnStats(next(iter(stats.values())).dim)
    for speaker in sorted(stats):
        total.merge(stats[speaker])
    out = args.out or f"{args.data}/cmvn.ark"
    total.save(out)
    if args.per_spk == "true":
        save_per_speaker(f"{args.data}/cmvn_per_spk.ark", f"{args.data}/cmvn.scp", stats)
    logging.getLogger("speechlm").info("%s: %d frames of %d utterances", out, total.count, len(feats))
