"""Options to data sets, units and prompts: the one room where the floors meet. Every command that needs them asks here."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.data.dataset import Example, SpeechDataset
from speechlm.decoding.recognizer import Result
from speechlm.features.augment import Augmenter
from speechlm.features.cmvn import CmvnStats
from speechlm.features.extract import NOT_FBANK
from speechlm.features.fbank import Fbank
from speechlm.features.record import refuse_other_features
from speechlm.io.expdir import ExpDir
from speechlm.scoring.align import Counts
from speechlm.scoring.wer import Tally, reader
from speechlm.text.hot_list import HotLists, hot_list_options
from speechlm.text.prompt import Prompt
from speechlm.text.tokens import load_tokenizer

Encode = Callable[[str], list[int]]


def make_fbank(values: dict[str, Any]) -> Fbank:
    """Make the feature extractor of the section `features`."""
    return Fbank(**{name: value for name, value in values["features"].items() if name not in NOT_FBANK})


def source_of(values: dict[str, Any]) -> str:
    """Tell what an experiment's encoder reads: feats, wave, pinyin or none."""
    from speechlm.core.registry import load

    return load("encoder", _lowest(values)["kind"]).source


def _lowest(values: dict[str, Any]) -> dict[str, Any]:
    """Give the section of the encoder that stands nearest to the data."""
    section = values["encoder"]
    while section.get("over"):
        section = section["over"]
    return section


def reads_fbank(values: dict[str, Any]) -> bool:
    """Tell whether the rows of feats.scp are filter bank features, and not outputs of a cached encoder."""
    return source_of(values) == "feats" and _lowest(values)["kind"] != "cached"


def cmvn_of(values: dict[str, Any], exp: ExpDir) -> CmvnStats | str | None:
    """Give the statistics that the section `features` asks for; those of the training set lie in the experiment."""
    kind = values["features"]["cmvn"]
    if kind == "global":
        return CmvnStats.load(exp.cmvn)
    return "utterance" if kind == "utterance" else None


def make_prompt(values: dict[str, Any]) -> tuple[Prompt, Any]:
    """Turn `text.prompt` into token ids of the LLM; give the LLM's tokenizer too."""
    from speechlm.llms.tokenizer import load_llm_tokenizer, prompt_of

    tokenizer = load_llm_tokenizer(values["llm"]["checkpoint"])
    return prompt_of(tokenizer, values["text"]), tokenizer


def answer_encoder(tokenizer: Any, prompt: Prompt) -> Encode:
    """Give the function from a transcript to the LLM's tokens, the end included."""
    from speechlm.llms.tokenizer import encode_text

    return lambda text: encode_text(tokenizer, text) + prompt.end


def give_hot_lists(sets: list[SpeechDataset], values: dict[str, Any], prompt: Prompt, tokenizer: Any) -> None:
    """Let training sets draw lists of phrases, from the transcripts of all of them, where the prompt has a slot for one."""
    from speechlm.llms.tokenizer import encode_text

    slot = prompt.hot
    if slot is None:
        return
    texts = [(len(one), one.selection.text_of) for one in sets]
    lists = HotLists(
        hot_list_options(values["text"]), texts, lambda phrases: slot.write(phrases, lambda t: encode_text(tokenizer, t))
    )
    for one in sets:
        one.hot = lists


def make_dataset(
    folder: Path | str,
    values: dict[str, Any],
    exp: ExpDir,
    *,
    training: bool,
    encode_answer: Encode | None = None,
    from_audio: bool = False,
) -> SpeechDataset:
    """Make the data set of a directory as an experiment reads it.

    training: augment, and leave out what is too short, too long or empty; else every utterance is kept.
    from_audio: compute features from the audio though the experiment reads feats.scp.

    Raises: UserError when feats.scp was made otherwise than the section `features` says.
    """
    data, source = values["data"], source_of(values)
    on_the_fly = source == "feats" and (from_audio or (training and data["from_audio"]))
    fbank = make_fbank(values)
    if reads_fbank(values) and not on_the_fly:
        refuse_other_features(Path(folder), fbank)
    units = load_tokenizer(exp.tokens) if exp.tokens.exists() else None
    sources = load_tokenizer(exp.source) if exp.source.exists() else None
    return SpeechDataset(
        folder,
        source=source,  # type: ignore[arg-type]
        rate=values["features"]["rate"],
        fbank=fbank if on_the_fly else None,
        cmvn=cmvn_of(values, exp) if source == "feats" else None,  # type: ignore[arg-type]
        encode_source=sources.encode if sources else None,
        encode_noisy=noise_on(sources, values.get("pinyin_noise", {})) if training else None,
        encode_target=units.encode if units else None,
        encode_answer=encode_answer,
        language=values["text"]["language"],
        augmenter=Augmenter(**values["augment"]) if training else None,
        min_seconds=data["min_seconds"] if training else 0.0,
        max_seconds=data["max_seconds"] if training else math.inf,
        allow_empty=not training or data["allow_empty"],
        allow_pipes=data["allow_pipes"],
        text_seconds=data["text_seconds"],
        keep_in_memory=data["keep_in_memory"] if training else 0.0,
        seed=values["train"]["seed"],
        seconds_per_frame=fbank.seconds_per_frame,
    )


def noise_on(sources: Any, rates: dict[str, Any]) -> Callable[[str, str], list[int]] | None:
    """Give the function (text, key) -> unit ids with the noise of the section `pinyin_noise`; None where it has none.

    Raises UserError where the units are none of pinyin, or a rate is no probability.
    """
    from speechlm.text.pinyin_noise import PinyinNoise
    from speechlm.text.pinyin_tokens import PinyinTokenizer

    try:
        noise = PinyinNoise(**rates)
    except ValueError as error:
        raise UserError(f"pinyin_noise: {error}") from None
    if noise.is_none:
        return None
    if not isinstance(sources, PinyinTokenizer):
        raise UserError("pinyin_noise: needs pinyin units; give 'text: {source: data/lang_pinyin}' or take it out")
    return lambda text, key: sources.encode_noisy(text, noise, key)


def furnish(exp: ExpDir, values: dict[str, Any]) -> None:
    """Copy into an experiment's folder what decoding needs: unit lists and statistics."""
    exp.path.mkdir(parents=True, exist_ok=True)
    for given, place in ((values["text"]["tokens"], exp.tokens), (values["text"]["source"], exp.source)):
        if given:
            if not Path(given).is_dir():
                raise UserError(f"text.tokens/source: {given}: no such folder; make it in stage 2 (speechlm tokens)")
            shutil.copytree(given, place, dirs_exist_ok=True)
    if source_of(values) == "feats" and values["features"]["cmvn"] == "global":
        if not values["data"]["train"]:
            raise UserError("data.train: give at least one data directory")
        whole = _whole_sets(values["data"])
        for folder in whole if reads_fbank(values) else []:
            refuse_other_features(Path(folder), make_fbank(values))
        stats = [CmvnStats.load(Path(folder) / "cmvn.ark") for folder in whole]
        total = stats[0]
        for other in stats[1:]:
            total.merge(other)
        total.save(exp.cmvn)


def _whole_sets(data: dict[str, Any]) -> list[str]:
    """Give the training directories whose statistics normalise: those taken whole, if there are any.

    What is mixed in by a share (noise without words) must not move the features of a model that learns to bear it.
    """
    shares = data["shares"] or [0.0] * len(data["train"])
    return [folder for folder, share in zip(data["train"], shares, strict=False) if share <= 0] or data["train"]


def texts_beside(examples: list[Example], results: list[list[Result]]) -> list[tuple[str, str]]:
    """Put transcripts beside the best hypotheses."""
    return [(one.text, nbest[0].text if nbest else "") for one, nbest in zip(examples, results, strict=True)]


def tally(pairs: list[tuple[str, str]], values: dict[str, Any]) -> Tally:
    """Count the errors of (transcript, hypothesis) pairs in the unit and language of an experiment."""
    from kaldialign import edit_distance

    read, total = reader(values["text"]["language"], values["score"]["unit"]), Tally()
    for one, other in pairs:
        words = read(one)
        found = edit_distance(words, read(other))
        total.add(Counts(len(words), found["sub"], found["ins"], found["del"]))
    return total
