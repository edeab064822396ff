"""Text models as teachers: several layers of a masked or causal LM, at the words of a transcript, with its context."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.llms.teacher_store import Lesson, Say, TeacherStore
from speechlm.llms.tokenizer import load_llm_tokenizer
from speechlm.nn.pretrained import load_pretrained, weights_hash
from speechlm.text.context import Context, ConversationContext

CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")

Strategy = Literal["last", "first", "uniform", "random"]


def words_of(text: str) -> list[tuple[int, int]]:
    """Find the words of a text as (start, end); every Chinese or Japanese character is a word."""
    return [match.span() for match in WORD.finditer(text)]


def layer_map(strategy: Strategy, total: int, count: int) -> list[int]:
    """Choose `count` of the layers 1 .. `total`, ascending (arXiv 2309.04031, section 3.2).

    last: the top ones. first: the bottom ones. uniform: every (total / count)-th, the top one included. random: drawn
    anew at each call, from torch's generator.
    """
    if not 1 <= count <= total:
        raise UserError(f"teacher: num_layers must be from 1 to the model's {total}, is {count}")
    if strategy == "last":
        return list(range(total - count + 1, total + 1))
    if strategy == "first":
        return list(range(1, count + 1))
    if strategy == "uniform":
        return [(2 * total * j + count) // (2 * count) for j in range(1, count + 1)]
    if strategy == "random":
        return sorted(int(i) + 1 for i in torch.randperm(total)[:count])
    raise UserError(f"teacher: layers must be last, first, uniform or random, is '{strategy}'")


def unit_ends(text: str, words: Sequence[tuple[int, int]], encode: Callable[[str], list[int]]) -> list[int | None]:
    """Find the recogniser's last unit of each word: the index in `encode(text)`.

    None where the units do not end with the word (encoding the text up to there gives other units, or no more units
    than before).
    """
    whole, last, ends = encode(text), -1, []
    for _, end in words:
        units = encode(text[:end])
        found = len(units) - 1 if units == whole[: len(units)] and len(units) - 1 > last else None
        last = last if found is None else found
        ends.append(found)
    return ends


def pieces_of(words: Sequence[tuple[int, int]], offsets: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Find the pieces that overlap each word; `offsets` are the pieces' (start, end) in the same text, ascending."""
    stops = [end for _, end in offsets]
    found = []
    for start, end in words:
        pieces = range(bisect_left(stops, start + 1), bisect_left(offsets, end, key=lambda offset: offset[0]))
        found.append([i for i in pieces if offsets[i][1] > offsets[i][0]])
    return found


def special_around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Find the special tokens that a tokenizer puts before and after a text."""
    inner = tokenizer.encode("a", add_special_tokens=False)
    outer = tokenizer.encode("a", add_special_tokens=True)
    place = next(i for i in range(len(outer)) if outer[i : i + len(inner)] == inner)
    return outer[:place], outer[place + len(inner) :]


class TextTeacher:
    """Gives the layers of a Hugging Face masked or causal LM at the words of each transcript (arXiv 2309.04031).

    A word's vector is the mean (or the first) of its pieces; it is to be regressed at the word's last recogniser unit.
    Words that one of the two tokenizers does not know or cut differently are left out; `coverage` is the share that is
    left (it should be above 95 %). Past and future utterances may stand around the transcript; while gradients are
    wanted, their tokens are masked at random, the transcript's never. The teacher is always in eval mode and never
    gets a gradient; it is no module, so it cannot reach a checkpoint.

    encode: text to the recogniser's units, as the batch's targets were made.
    sides: utterance ids of each conversation side in time order, and `texts` their transcripts; None for no context.

    Options:
        checkpoint: Hugging Face name or folder of the model and its fast tokenizer.
        layers: which layers teach: last, first, uniform, or random (drawn anew at each batch).
        num_layers: how many of them, K.
        context: tokens of context in total, past and future; needs `sides`.
        direction: where context is taken from: both, past or future; a causal LM has past only.
        mask: share of the context's tokens that is masked on the fly, from 0 to below 1; needs a mask token.
        pool: a word's vector is the mean of its pieces or the first.
        dtype: type of the weights; auto takes the checkpoint's own.
        store: folder where the vectors are kept in 16 bit, shared by all trainings; nothing is kept without it. Not
            possible with masked context or random layers, which differ every time.
    """

    def __init__(
        self,
        encode: Callable[[str], list[int]],
        sides: Sequence[Sequence[str]] | None = None,
        texts: dict[str, str] | None = None,
        *,
        checkpoint: str,
        layers: Literal["last", "first", "uniform", "random"] = "uniform",
        num_layers: int = 2,
        context: int = 0,
        direction: Literal["both", "past", "future"] = "both",
        mask: float = 0.0,
        pool: Literal["mean", "first"] = "mean",
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        store: str | None = None,
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

        self.tokenizer = load_llm_tokenizer(checkpoint)
        auto_class = AutoModelForCausalLM if self.tokenizer.mask_token_id is None else AutoModelForMaskedLM
        whole = load_pretrained(auto_class, checkpoint, dtype=dtype, attention="auto")
        self.model: Any = whole.base_model.eval().requires_grad_(False)  # without the head over the vocabulary
        self.encode, self.strategy, self.num_layers, self.mask, self.pool = encode, layers, num_layers, mask, pool
        total = self.model.config.num_hidden_layers
        layer_map(layers, total, num_layers)
        self._check(context, direction, sides)
        budget = context if sides is not None else 0
        self.contexts = ConversationContext(sides or [], texts or {}, self._plain, budget=budget, direction=direction)
        self.before, self.after = special_around(self.tokenizer)
        self.dims = [self.model.config.hidden_size] * num_layers
        self.words = self.matched = 0
        self.notes: dict[str, float] = {}
        self.say: Say = self._say
        if store is not None:
            if (context and mask) or layers == "random":
                raise UserError("teacher: store needs vectors that stay the same; set mask: 0 and layers not random")
            self.say = TeacherStore(self._say, store, f"{weights_hash(self.model)} {layers} {num_layers} {pool}")

    def _check(self, context: int, direction: str, sides: Sequence[Sequence[str]] | None) -> None:
        name = self.tokenizer.name_or_path
        if not self.tokenizer.is_fast:
            raise UserError(
                f"teacher '{name}': needs a fast tokenizer (tokenizer.json), which knows where each piece stands"
            )
        if not 0 <= self.mask < 1 or self.pool not in ("mean", "first"):
            raise UserError(
                f"teacher: mask must be from 0 to below 1 and pool mean or first, are {self.mask}, {self.pool}"
            )
        if context and sides is None:
            raise UserError("teacher: context needs to know which utterances follow each other (segments or utt2spk)")
        masked_lm = self.tokenizer.mask_token_id is not None
        if self.mask and not masked_lm:
            raise UserError(f"teacher '{name}': has no mask token; set mask: 0")
        if context and direction != "past" and not masked_lm:
            raise UserError(f"teacher '{name}': a causal LM never sees the future; set direction: past")

    @property
    def coverage(self) -> float:
        """Share of all words so far that could be aligned, 1.0 before the first."""
        return self.matched / self.words if self.words else 1.0

    def _plain(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def __call__(self, batch: Batch) -> list[tuple[Seq, Seq]]:
        """Give K pairs: positions (B, W) of the aligned words among the targets, and the layer's vectors (B, W, D)."""
        masking = torch.is_grad_enabled()
        aligned = [self._align(text) for text in batch.texts]
        rows = [self._input(name, pieces, masking) for name, (pieces, _, _) in zip(batch.ids, aligned, strict=True)]
        lessons = [Lesson(*row, words) for row, (_, _, words) in zip(rows, aligned, strict=True)]
        positions = Seq.of([torch.tensor(ends, dtype=torch.int64) for _, ends, _ in aligned]).to(batch.seconds.device)
        self.notes["teacher_coverage"] = self.coverage
        return [(positions, layer) for layer in self.say(lessons, batch.seconds.device)]

    def measure(self, texts: Iterable[str]) -> float:
        """Align texts without running the model; give the share of all words so far that could be aligned."""
        for text in texts:
            self._align(text)
        return self.coverage

    def _say(self, lessons: Sequence[Lesson], device: torch.device) -> list[Seq]:
        """Run the model; give the K layers at the words, each (B, W, D)."""
        states = self._states(Seq.of([torch.tensor(lesson.ids) for lesson in lessons]), device)
        return [self._words(layer, lessons) for layer in states]

    def _align(self, text: str) -> tuple[list[int], list[int], list[list[int]]]:
        """Give a transcript's pieces, and for each aligned word its last unit and its pieces."""
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, words = found["input_ids"][: self._room()], words_of(text)
        members = pieces_of(words, found["offset_mapping"][: len(ids)])
        unknown = self.tokenizer.unk_token_id
        ends, kept = [], []
        for end, pieces in zip(unit_ends(text, words, self.encode), members, strict=True):
            if end is not None and pieces and all(ids[i] != unknown for i in pieces):
                ends.append(end)
                kept.append(pieces)
        self.words += len(words)
        self.matched += len(ends)
        return ids, ends, kept

    def _room(self) -> int:
        """Pieces that fit between the special tokens."""
        # RoBERTa's table has two positions more than it can use; its tokenizer knows.
        limit = min(getattr(self.model.config, "max_position_embeddings", 512), self.tokenizer.model_max_length)
        return int(limit) - len(self.before) - len(self.after)

    def _input(self, utterance: str, pieces: list[int], masking: bool) -> tuple[list[int], int]:
        """Put context and special tokens around the pieces; give the ids and where the pieces start."""
        context = self.contexts.of(utterance)
        spare = max(0, self._room() - len(pieces))
        past = context.past[max(0, len(context.past) - spare // 2) :]
        context = Context(past, context.future[: spare - len(past)])
        if masking and self.mask:
            context = Context(self._masked(context.past), self._masked(context.future))
        ids = [*self.before, *context.past, *pieces, *context.future, *self.after]
        return ids, len(self.before) + len(context.past)

    def _masked(self, ids: list[int]) -> list[int]:
        hidden = torch.rand(len(ids)) < self.mask
        return [self.tokenizer.mask_token_id if drop else i for i, drop in zip(ids, hidden.tolist(), strict=True)]

    @torch.no_grad()
    def _states(self, ids: Seq, device: torch.device) -> list[Tensor]:
        """Run the model; give the chosen layers' states, each (B, T, D)."""
        if self.model.device != device:
            self.model.to(device)
        ids = ids.to(device)
        found = self.model(ids.data, attention_mask=ids.mask.to(torch.int64), output_hidden_states=True).hidden_states
        return [found[layer] for layer in layer_map(self.strategy, len(found) - 1, self.num_layers)]

    def _words(self, states: Tensor, lessons: Sequence[Lesson]) -> Seq:
        """Pool the states of each word's pieces: (B, W, D)."""
        rows = []
        for row, (_, start, words) in zip(states.float(), lessons, strict=True):
            vectors = [row[start + pieces[0] : start + pieces[-1] + 1] for pieces in words]
            pooled = [vector.mean(0) if self.pool == "mean" else vector[0] for vector in vectors]
            rows.append(torch.stack(pooled) if pooled else row.new_zeros(0, row.shape[-1]))
        return Seq.of(rows)


class Teachers:
    """Several teachers as one: their representations follow each other (arXiv 2309.04031, section 3.2)."""

    def __init__(self, teachers: Sequence[TextTeacher]) -> None:
        self.teachers = list(teachers)
        self.dims = [dim for teacher in self.teachers for dim in teacher.dims]

    @property
    def notes(self) -> dict[str, float]:
        """The teachers' notes, numbered."""
        return {
            f"{name}_{i}": value for i, teacher in enumerate(self.teachers) for name, value in teacher.notes.items()
        }

    def __call__(self, batch: Batch) -> list[tuple[Seq, Seq]]:
        """Give the pairs of all teachers."""
        return [pair for teacher in self.teachers for pair in teacher(batch)]
