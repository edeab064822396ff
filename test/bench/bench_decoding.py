"""Our beam search beside Hugging Face `generate`, the same model, prompts and limits, in one run.

    python -m test.bench.bench_decoding [--device cuda] [--threads 1] [--rounds 3] [--graphs]

Prompts are 60-120 steps of random embeddings; an utterance may say 0.3 tokens per step (18-36), which Hugging Face is
told by a stopping criterion per utterance, so that both do the same work and must give the same tokens. Hugging Face
is given its best case: prompts sorted by length, sdpa, one batch after another. Time is the best of the rounds, which
take turns.

The second table is greedy search beside itself with drafts, as the CTC head's text gives them (decode.draft: ctc): so many
of a draft's tokens (--wrong, percent) are another token than the LLM's. Passes are the LLM's forward passes of all
utterances, each counted by itself; the answers must be the same ones.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList
from transformers.models.qwen2 import Qwen2Config, Qwen2ForCausalLM

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions, suffix_options_for_hf
from speechlm.decoding.draft import DraftedSearch
from speechlm.decoding.llm import LLMBeamSearch

END = 2


class Limits(StoppingCriteria):
    """Stop each utterance at its own limit; a step's candidates come as (utterances * candidates, N)."""

    def __init__(self, limits: list[int]) -> None:
        self.limits = torch.tensor(limits)

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Tensor:
        limits = self.limits.to(input_ids.device).repeat_interleave(len(input_ids) // len(self.limits))
        return input_ids.shape[1] >= limits


def make_model(layers: int, width: int, vocab: int, device: str) -> Qwen2ForCausalLM:
    """Make a random Qwen2 of the width; wide enough weights that beams differ."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocab, hidden_size=width, intermediate_size=width * 11 // 4, num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=width // 64, initializer_range=0.06,
        bos_token_id=1, eos_token_id=END,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config).eval().to(device)
    return model.to(torch.bfloat16) if device == "cuda" else model


@torch.inference_mode()
def run_hf(
    model: Qwen2ForCausalLM, prompts: list[Tensor], limits: list[int], options: SearchOptions
) -> list[list[int]]:
    """Decode one padded batch with `generate`."""
    longest = max(map(len, prompts))
    rows = torch.stack([torch.cat([p.new_zeros(longest - len(p), p.shape[1]), p]) for p in prompts])
    mask = torch.stack([torch.arange(longest) >= longest - len(p) for p in prompts]).to(rows.device)
    words = suffix_options_for_hf(options, max(limits))
    found = model.generate(
        inputs_embeds=rows, attention_mask=mask.long(), eos_token_id=END, pad_token_id=0,
        stopping_criteria=StoppingCriteriaList([Limits(limits)]), **words,
    )  # fmt: skip
    answers = [row[:limit] for row, limit in zip(found.tolist(), limits, strict=True)]
    return [row[: row.index(END)] if END in row else row for row in answers]


def timed(work: Callable[[], list[list[int]]], device: str) -> tuple[float, list[list[int]]]:
    """Run once; seconds and answers."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    answers = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, answers


def problem(model: Qwen2ForCausalLM, count: int, device: str) -> tuple[list[Tensor], list[int]]:
    """Make prompts, the longest first, and how many tokens each may give."""
    generator = torch.Generator().manual_seed(1)
    lens = sorted(torch.randint(60, 121, (count,), generator=generator).tolist(), reverse=True)
    scale = model.get_input_embeddings().weight.float().std().item()
    dtype = model.get_input_embeddings().weight.dtype
    prompts = [(torch.randn(n, model.config.hidden_size, generator=generator) * scale).to(device, dtype) for n in lens]
    return prompts, [math.ceil(0.3 * n) for n in lens]


def compare(model: Qwen2ForCausalLM, batch: int, count: int, options: SearchOptions, rounds: int, device: str) -> str:
    """Time both on `count` utterances, `batch` together, and count the answers that agree."""
    prompts, limits = problem(model, count, device)
    search = LLMBeamSearch(model, model.get_input_embeddings(), [END], options)

    def hf() -> list[list[int]]:
        parts = [slice(i, i + batch) for i in range(0, count, batch)]
        return [answer for part in parts for answer in run_hf(model, prompts[part], limits[part], options)]

    def ours() -> list[list[int]]:
        return [found[0].tokens for found in search.search(Seq.of(prompts), limits)]

    times = [(timed(hf, device), timed(ours, device)) for _ in range(rounds)]
    slow, fast = min(t[0][0] for t in times), min(t[1][0] for t in times)
    same = sum(a == b for a, b in zip(times[0][0][1], times[0][1][1], strict=True))
    tokens = sum(len(answer) for answer in times[0][1][1])
    share = search.effort.prefill_seconds / (search.effort.prefill_seconds + search.effort.decode_seconds)
    return (
        f"{batch:5d} {count:5d} {slow:9.2f} {fast:9.2f} {slow / fast:6.2f}x {tokens / fast:9.0f} {share:8.0%} "
        f"{same:5d}/{count}"
    )


def compare_drafts(
    model: Qwen2ForCausalLM, batch: int, count: int, wrong: list[int], rounds: int, device: str
) -> list[str]:
    """Time greedy search without and with drafts, so many percent of their tokens wrong; one line for each share."""
    prompts, limits = problem(model, count, device)
    options, embed = SearchOptions(beam=1, batch_slots=batch), model.get_input_embeddings()
    plain = LLMBeamSearch(model, embed, [END], options)
    truth = [found[0].tokens for found in plain.search(Seq.of(prompts), limits)]
    drafts: dict[int, list[list[int]]] = {}
    for share in wrong:
        chooser = random.Random(share)
        drafts[share] = [[_other(token, model, chooser) if 100 * chooser.random() < share else token for token in answer]
                         for answer in truth]  # fmt: skip
    searches: dict[int, DraftedSearch] = {}

    def without() -> list[list[int]]:
        return [found[0].tokens for found in plain.search(Seq.of(prompts), limits)]

    def drafted(share: int) -> list[list[int]]:
        search = DraftedSearch(model, embed, [END], options, lambda name: drafts[share][int(name)])
        searches[share] = search
        found = dict(search.stream((str(i), prompts[i], limits[i]) for i in range(count)))
        return [found[str(i)][0].tokens for i in range(count)]

    times = [(timed(without, device), {share: timed(lambda s=share: drafted(s), device) for share in wrong})
             for _ in range(rounds)]  # fmt: skip
    slow, lines = min(t[0][0] for t in times), []
    for share in wrong:
        fast = min(t[1][share][0] for t in times)
        effort, same = searches[share].effort, sum(map(list.__eq__, times[0][1][share][1], truth))
        every = effort.passes + effort.saved_passes
        lines.append(f"{batch:5d} {count:5d} {share:6d}% {every:7d} {effort.passes:7d} {slow:9.2f} {fast:9.2f} "
                     f"{slow / fast:6.2f}x {same:5d}/{count}")  # fmt: skip
    return lines


def _other(token: int, model: Qwen2ForCausalLM, chooser: random.Random) -> int:
    """Draw another token, no special one."""
    return next(t for t in iter(lambda: chooser.randrange(3, model.config.vocab_size), None) if t != token)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 16])
    parser.add_argument("--graphs", action="store_true", help="our steps at fixed shapes, on a GPU as CUDA graphs")
    parser.add_argument("--ngram", type=int, default=0, help="no_repeat_ngram of both")
    parser.add_argument("--vocab", type=int, nargs="*", default=[8000, 151936])
    parser.add_argument("--wrong", type=int, nargs="*", default=[0, 5, 10, 20], help="percent of a draft's tokens that "
                        "are wrong, a row of the second table for each; none leaves the table out")  # fmt: skip
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for vocab in args.vocab:
        model = make_model(args.layers, args.width, vocab, args.device)
        print(
            f"{args.layers} layers, {args.width} wide, vocabulary {vocab}, beam {args.beam}, "
            f"{args.device}, {args.threads} thread(s)"
        )
        print("batch  utts      HF s    ours s   ratio  tokens/s  prefill    same")
        for batch in args.batches if vocab < 100000 else args.batches[-1:]:
            options = SearchOptions(beam=args.beam, batch_slots=batch, no_repeat_ngram=args.ngram, graphs=args.graphs)
            count = 4 if batch == 1 else 2 * batch
            print(compare(model, batch, count, options, args.rounds if vocab < 100000 else 1, args.device), flush=True)
        if args.wrong and vocab == min(args.vocab):
            print("greedy search without and with drafts\nbatch  utts   wrong  passes drafted   plain s drafted s   ratio    same")
            for batch in sorted({args.batches[0], args.batches[-1]}):
                count = 4 if batch == 1 else 2 * batch
                rows = compare_drafts(model, batch, count, args.wrong, args.rounds, args.device)
                print("\n".join(rows), flush=True)


if __name__ == "__main__":
    main()
