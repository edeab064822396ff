"""Compute a frozen or trained encoder's outputs of one job's share of a data directory into an archive, once for all runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Rows = Callable[[str], np.ndarray]

TAKES_OVERRIDES = True
TRUTH = {"true": True, "false": False}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", metavar="YAML", help="an experiment with a frozen encoder of audio")
    which.add_argument("--exp", metavar="DIR", help="a trained experiment; its encoder reads feats.scp as in decoding")
    parser.add_argument("--scp_dir", required=True, metavar="DATA", help="Kaldi data directory with wav.scp")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder for encoder.json and encoded_NAME.JOB.{ark,scp,frames}"
    )
    parser.add_argument("--name", help="NAME in the archives' names (default: the name of the data directory)")
    parser.add_argument("--list", metavar="FILE", help="take only the utterances in the first column of this file")
    parser.add_argument("--job", type=int, default=1, help="which share, from 1 (default 1)")
    parser.add_argument("--num_jobs", type=int, default=1, help="number of shares (default 1)")
    parser.add_argument(
        "--compress", type=int, default=0, choices=[0, 1, 2, 3, 5], help="Kaldi's compression method; 0 none"
    )
    parser.add_argument("--batch_seconds", type=float, default=120.0, help="audio encoded together, padding included")
    parser.add_argument(
        "--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto takes the GPU if there is one"
    )
    parser.add_argument(
        "--max_skip_share", type=float, default=0.05, help="fail when more utterances than this are bad"
    )
    parser.add_argument(
        "--allow_pipes", nargs="?", const="true", default="false", choices=list(TRUTH), help="run commands in wav.scp"
    )


def run(args: argparse.Namespace) -> None:
    """Build the encoder or take a trained one, refuse the cache of another one, encode."""
    from pathlib import Path

    import torch

    from speechlm.core.errors import UserError
    from speechlm.encoders.cached import CacheKey
    from speechlm.encoders.store import store
    from speechlm.features.extract import Job

    encoder, section, rows = _trained(args) if args.exp else (*_configured(args), None)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no GPU is visible; ask for one or leave --device auto")
    CacheKey.of(encoder, section).claim(Path(args.out))
    store(
        encoder,
        Job(args.scp_dir, args.list, args.job, args.num_jobs),
        stem=f"{args.out}/encoded_{args.name or Path(args.scp_dir).resolve().name}.{args.job}",
        batch_seconds=args.batch_seconds,
        device="cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu",
        compress=args.compress,
        max_skip_share=args.max_skip_share,
        allow_pipes=TRUTH[args.allow_pipes],
        rows=rows,
    )


def _configured(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Build the frozen encoder of audio of a YAML; give it with its section."""
    from speechlm.core.errors import UserError
    from speechlm.models.build import Facts, build_encoder
    from speechlm.nn.adapt import trainable_parameters
    from speechlm.options import read_experiment

    section = read_experiment(args.config, args.overrides).values.get("encoder")
    if not section:
        raise UserError(f"{args.config}: has no section encoder")
    encoder = build_encoder(section, Facts())
    if encoder.source != "wave" or section.get("over"):
        raise UserError(
            f"{args.config}: encoder.kind: only encoders of audio are cached, {section['kind']} is none; one that is "
            "trained on features is taken from its experiment (--exp)"
        )
    if trained := trainable_parameters(encoder):
        raise UserError(
            f"{args.config}: encoder: {len(trained)} parameters are trained ({min(trained)} ...), which a cache cannot "
            "follow; write adapt: frozen"
        )
    return encoder, section


def _trained(args: argparse.Namespace) -> tuple[Any, dict[str, Any], Rows]:
    """Restore a trained experiment's encoder of features; give it with its section and with what reads the features."""
    from speechlm.bin.assemble import make_dataset, reads_fbank
    from speechlm.core.errors import UserError
    from speechlm.io.expdir import ExpDir
    from speechlm.models.restore import restore

    if args.overrides:
        raise UserError(f"{args.overrides[0]}: a trained encoder is taken as it is; leave the options out")
    model, values = restore(args.exp)
    if not reads_fbank(values):
        raise UserError(f"{args.exp}: its encoder reads no filter bank features; give --config for one of audio")
    data = make_dataset(args.scp_dir, values, ExpDir(args.exp), training=False)
    section = {**values["encoder"], "checkpoint": str(args.exp)}
    return model.encoder, section, lambda utt: data.source.read(utt, "")[0]
