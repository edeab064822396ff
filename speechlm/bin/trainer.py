"""Checked options to a trainer: model, losses, loaders, and the error rate that validation reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from speechlm.bin.assemble import answer_encoder, give_hot_lists, make_dataset, make_prompt, tally, texts_beside
from speechlm.bin.pictures import MatchingPictures
from speechlm.bin.teachers import make_distill, teachers_of
from speechlm.core.errors import UserError
from speechlm.core.registry import load
from speechlm.data.collate import collate
from speechlm.data.dataset import SpeechDataset
from speechlm.data.loader import Loader
from speechlm.data.mix import MixedDataset
from speechlm.data.sampler import DurationSampler
from speechlm.decoding.aid_options import OFF
from speechlm.decoding.decode import batches_of
from speechlm.decoding.recognizer import Recognizer, llm_pieces, llm_text
from speechlm.io.expdir import ExpDir
from speechlm.models.build import build_model, model_kind, options_of
from speechlm.models.restore import bases_of, facts_of
from speechlm.report.plots import plot_curves
from speechlm.text.hot_list import hot_list_options
from speechlm.text.tokens import load_tokenizer
from speechlm.training.distributed import main_rank, rank, world
from speechlm.training.optim import OptimOptions
from speechlm.training.options import TrainOptions
from speechlm.training.seeds import seed_all
from speechlm.training.step import LossTerm
from speechlm.training.trainer import Trainer

VALIDATED = 200
"""Utterances whose error rate is measured at a validation, the first ones in C order."""


def make_trainer(exp: ExpDir, values: dict[str, Any]) -> Trainer:
    """Make the trainer of an experiment whose folder is furnished (units, statistics)."""
    encode_answer, bases = None, {"parts": bases_of(values), **teachers_of(values)}
    if values.get("llm"):
        from speechlm.llms.tokenizer import tokenizer_hash

        prompt, tokenizer = make_prompt(values)
        encode_answer = answer_encoder(tokenizer, prompt)
        bases["tokenizer"] = tokenizer_hash(tokenizer)
        if main_rank():
            exp.write_json(exp.prompt, prompt.to_dict())
        meta_prompt = prompt.to_dict()
    else:
        hot_list_options(values["text"], llm=False)
        meta_prompt = {}
    if main_rank():
        exp.write_json(exp.bases, bases)
    seed_all(values["train"]["seed"])
    facts = facts_of(exp, values)
    model = build_model(values, facts if not values.get("llm") else facts.with_prompt(prompt))
    make = partial(make_dataset, values=values, exp=exp, encode_answer=encode_answer)
    valid = make(values["data"]["valid"], training=False) if values["data"]["valid"] else None
    train = [make(folder, training=True) for folder in values["data"]["train"]]
    if values.get("llm"):
        give_hot_lists(train, values, prompt, tokenizer)
    losses = make_losses(values, model, exp)
    matching = next((term.loss for term in losses if term.name == "matching"), None)
    pictures = MatchingPictures(valid, matching, exp.plots, tokenizer.decode) if valid and matching else None
    return Trainer(
        model,
        losses,
        folder=exp.path,
        train=make_loader(train, values, shuffle=True),
        valid=make_loader([valid], values, shuffle=False) if valid else None,
        optim=OptimOptions(**values["optim"]),
        options=TrainOptions(**values["train"]),
        validate=make_validation(valid, values, exp, pictures) if valid else None,
        plot=partial(_plot, exp, pictures),
        meta={"bases": bases, "prompt": meta_prompt},
    )


def _plot(exp: ExpDir, pictures: MatchingPictures | None, metrics: Path) -> None:
    """Draw the curves, and what the matching loss reads where there is one."""
    plot_curves(metrics, exp.plots / "curves.png")
    if pictures:
        pictures.draw(metrics)


def make_losses(values: dict[str, Any], model: nn.Module, exp: ExpDir) -> list[LossTerm]:
    """Make the losses of the section `losses`; without it the model's own: lm, ctc or transducer."""
    own = {"speech_llm": "lm"}.get(model_kind(values), model_kind(values))
    sections = values.get("losses") or [{"kind": own, "weight": 1.0}]
    terms = []
    for section in sections:
        if section["kind"] == "distill":
            made: Any = make_distill(values, model, exp, options_of(section))
        else:
            cls = load("loss", section["kind"])
            facts = [model.llm.dim] if getattr(cls, "needs_dim", False) else []
            made = cls(*facts, **options_of(section))
        terms.append(LossTerm(section["kind"], section["weight"], made))
    return terms


def make_loader(sets: list[SpeechDataset], values: dict[str, Any], *, shuffle: bool) -> Loader:
    """Make batches by duration over one or several directories."""
    data = values["data"]
    if shuffle and data["shares"] and len(data["shares"]) != len(sets):
        raise UserError(
            f"data.shares: has {len(data['shares'])} values for {len(sets)} directories of data.train; give one for each"
        )
    shares = [share if share > 0 else None for share in data["shares"]] or [None] * len(sets)
    dataset = sets[0] if len(sets) == 1 else MixedDataset(sets, shares, seed=values["train"]["seed"])
    sampler = DurationSampler(
        dataset.sizes,
        batch_seconds=data["batch_seconds"],
        max_utterances=data["max_utterances"],
        seed=values["train"]["seed"],
        rank=rank(),
        world=world(),
        shuffle=shuffle,
        choose=dataset.choose,
    )
    return Loader(dataset, sampler, workers=data["workers"] if shuffle else 0)


def make_validation(
    dataset: SpeechDataset, values: dict[str, Any], exp: ExpDir, pictures: MatchingPictures | None = None
) -> Callable[[nn.Module], dict[str, float]]:
    """Make the function that measures the greedy error rate ("error", in percent) of the model as it is.

    pictures: look at the model on the way.
    """
    decode = {**values["decode"], "beam": 1, "nbest": 1, "ctc_weight": 0.0, **OFF}
    words = llm_text(values["llm"]["checkpoint"]) if values.get("llm") else None
    list_of_units = load_tokenizer(exp.tokens) if exp.tokens.exists() else None
    units = list_of_units.decode if list_of_units else None
    kind = {"speech_llm": "llm"}.get(model_kind(values), model_kind(values))
    sizes = dataset.sizes.tolist()
    chosen = sorted(range(min(len(dataset), VALIDATED)), key=lambda index: -sizes[index])

    def validate(model: nn.Module) -> dict[str, float]:
        if pictures:
            pictures.look(model)
        pieces = llm_pieces(values["llm"]["checkpoint"], decode, model.llm.vocab_size) if words else None
        recognizer = Recognizer(model, decode, units=units, words=words, pieces=pieces, kind=kind)
        pairs: list[tuple[str, str]] = []
        for batch in batches_of(chosen, sizes, decode["batch_seconds"]):
            examples = [dataset.read(index, 0) for index in batch]
            if kind != "llm" and list_of_units and not list_of_units.spells_text:  # what it puts out is no text
                examples = [replace(one, text=" ".join(list_of_units.split(one.text))) for one in examples]
            pairs += texts_beside(examples, recognizer.recognize(collate(examples)))
        return {"error": tally(pairs, values).rate}

    return validate
