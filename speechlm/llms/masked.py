"""A small masked LM of the BERT kind, made and trained from plain text: a teacher where no large one is at hand."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_dir

LOGGER = logging.getLogger(__name__)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SHORT = 24
"""Ids in the shorter windows: about a sentence, as a teacher without context reads it."""
SIZE = 0.05
"""Standard deviation of the embeddings at the start, over twice that of the positions, which are random."""
IGNORED = -100
"""Label of a place that is not asked for, as transformers' models know it."""


@dataclass(frozen=True)
class MaskedOptions:
    """Size of the model and how it is trained.

    dim, layers, heads, ffn_dim: the transformer (ffn_dim 0: four times dim). pieces: size of the WordPiece vocabulary.
    window: longest window of running text, in ids; half of the batches have windows of a sentence's length. batch: ids
    in a batch. mask: share of the ids that are asked for.
    """

    dim: int = 128
    layers: int = 6
    heads: int = 4
    ffn_dim: int = 0
    pieces: int = 2000
    window: int = 96
    batch: int = 1024
    mask: float = 0.2
    steps: int = 1000
    lr: float = 1e-3
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.dim, self.layers, self.heads, self.pieces, self.steps) < 1 or self.dim % self.heads:
            raise UserError("masked LM: dim, layers, heads, pieces and steps must be at least 1, dim a multiple of heads")
        if not SHORT <= self.window <= 512 or self.batch < self.window or not 0 < self.mask < 1:
            raise UserError(f"masked LM: window must be {SHORT} to 512, batch at least a window, mask between 0 and 1")


def make_piece_tokenizer(lines: Iterable[str], size: int) -> Any:
    """Train a WordPiece tokenizer of at most `size` pieces on lines whose words stand between blanks."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # type: ignore[call-arg]
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    backend.train_from_iterator(lines, trainer)
    around = [(name, backend.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=512, **names)


def hide(ids: Tensor, share: float, mask: int, vocab_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ask for a share of the ids inside each window (BERT, 1810.04805): 8 of 10 masked, 1 another id, 1 as it is.

    ids: (B, T) with a special token at both ends, which are never asked for. Gives what the model reads and the labels,
    each (B, T).
    """
    drawn = torch.rand(ids.shape, generator=generator)
    drawn[:, [0, -1]] = 1.0
    asked = drawn < share
    labels = ids.masked_fill(~asked, IGNORED)
    other = torch.randint(len(SPECIAL), vocab_size, ids.shape, generator=generator)
    seen = torch.where(drawn < 0.9 * share, other, ids)
    return torch.where(drawn < 0.8 * share, mask, seen), labels


def windows(stream: Tensor, around: tuple[int, int], options: MaskedOptions, generator: torch.Generator) -> Iterator[Tensor]:
    """Cut windows (B, T) out of running text (N,) for ever, at random places, long and short ones in turn."""
    for step in range(1 << 62):
        length = min(options.window if step % 2 else SHORT, len(stream) + 2)
        starts = torch.randint(0, len(stream) - length + 3, (options.batch // length,), generator=generator)
        inner = stream[starts[:, None] + torch.arange(length - 2)]  # (B, T - 2)
        ends = [torch.full((len(inner), 1), special) for special in around]
        yield torch.cat([ends[0], inner, ends[1]], dim=1)


def train_masked_lm(folder: Path | str, lines: Sequence[str], held_out: Sequence[str], options: MaskedOptions) -> dict[str, float]:
    """Train on running text, measure on held-out text, and write a folder in Hugging Face's layout.

    lines, held_out: normalised, in the order in which they follow each other. Gives (and writes to masked.json) the share
    of masked pieces that are found and their mean loss, on `held_out`. Raises UserError where a text is too short.
    """
    tokenizer = make_piece_tokenizer(lines, options.pieces)
    stream, unseen = (_stream(tokenizer, text) for text in (lines, held_out))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = _make_model(tokenizer, stream, options)
        _fit(model, tokenizer, stream, options)
        found = _measure(model, tokenizer, unseen, options)
    facts = {**found, "train_pieces": float(len(stream)), "parameters": float(model.num_parameters())}
    with atomic_dir(folder) as place:
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
        shutil.copymode(place / "config.json", place / "model.safetensors")  # safetensors writes for its owner only
        (place / "masked.json").write_text(json.dumps({**asdict(options), **facts}, indent=1) + "\n", encoding="utf-8")
    return facts


def _stream(tokenizer: Any, lines: Sequence[str]) -> Tensor:
    ids = [i for row in tokenizer(list(lines), add_special_tokens=False)["input_ids"] for i in row] if lines else []
    if len(ids) < SHORT:
        raise UserError(f"masked LM: a text of {len(ids)} pieces is too short, {SHORT} are the least")
    return torch.tensor(ids)


def neighbour_vectors(stream: Tensor, vocab_size: int, dim: int, reach: int = 4) -> Tensor:
    """Give each id a vector that tells its neighbours (V, dim): positive pointwise mutual information, cut by SVD.

    Counts of pairs at most `reach` places apart, the nearer the heavier. A masked LM on little text needs thousands of
    steps until it looks at the neighbours at all; with these vectors as embeddings it does from the beginning.
    """
    counts = torch.zeros(vocab_size, vocab_size)
    for distance in range(1, reach + 1):
        counts.index_put_((stream[:-distance], stream[distance:]), torch.tensor(1 / distance), accumulate=True)
    counts += counts.T.clone()
    each = counts.sum(1, keepdim=True).clamp(min=1.0)
    information = (counts * counts.sum() / (each * each.T)).clamp(min=1.0).log()
    left, values, _ = torch.svd_lowrank(information, q=min(dim, vocab_size), niter=4)
    return torch.nn.functional.pad(left * values.sqrt(), (0, dim - left.shape[1]))


def _make_model(tokenizer: Any, stream: Tensor, options: MaskedOptions) -> Any:
    """Make a BERT whose embeddings know their neighbours and whose output bias knows how frequent each piece is."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=options.dim, num_hidden_layers=options.layers,
        num_attention_heads=options.heads, intermediate_size=options.ffn_dim or 4 * options.dim, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, max_position_embeddings=512, type_vocab_size=1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = BertForMaskedLM(config)
    frequency = torch.bincount(stream, minlength=len(tokenizer)).float()
    vectors, known = neighbour_vectors(stream, len(tokenizer), options.dim), frequency > 0
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[known] = (vectors * SIZE / vectors.std())[known]
        model.cls.predictions.bias.copy_(((frequency + 1) / (frequency + 1).mean()).log())
    return model


def _fit(model: Any, tokenizer: Any, stream: Tensor, options: MaskedOptions) -> None:
    generator = torch.Generator().manual_seed(options.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=options.steps + 1, pct_start=0.1)
    batches = windows(stream, (tokenizer.cls_token_id, tokenizer.sep_token_id), options, generator)
    total = 0.0
    for step in range(1, options.steps + 1):
        ids, labels = hide(next(batches), options.mask, tokenizer.mask_token_id, len(tokenizer), generator)
        loss = torch.nn.functional.cross_entropy(*_asked(model, ids, labels))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 0:
            LOGGER.info("masked LM: step %d of %d, loss %.3f", step, options.steps, total / 100)
            total = 0.0


def _asked(model: Any, ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Score the pieces (N, V) at the places that are asked for, and say which they are (N,); the head sees no others."""
    asked = labels != IGNORED
    return model.cls(model.bert(ids).last_hidden_state[asked]), labels[asked]


@torch.no_grad()
def _measure(model: Any, tokenizer: Any, stream: Tensor, options: MaskedOptions, batches: int = 20) -> dict[str, float]:
    """Ask for masked pieces of held-out text, always the same ones."""
    model.eval()
    generator = torch.Generator().manual_seed(0)
    cut = windows(stream, (tokenizer.cls_token_id, tokenizer.sep_token_id), options, generator)
    right, loss, count = 0, 0.0, 0
    for _ in range(batches):
        ids, labels = hide(next(cut), options.mask, tokenizer.mask_token_id, len(tokenizer), generator)
        logits, wanted = _asked(model, ids, labels)
        right += int((logits.argmax(-1) == wanted).sum())
        loss += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
        count += len(wanted)
    return {"held_out_accuracy": right / max(1, count), "held_out_loss": loss / max(1, count)}
