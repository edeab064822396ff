"""How near one decoding step is to what the machine allows: bytes that must be read, and multiplications that must be done.

    python -m test.bench.bench_limit [--device cuda] [--threads 1] [--batches 1 8 16] [--graphs]

A step reads all weights once, the prompts' keys and values once for each utterance and those of the suffixes once for each
beam, and multiplies every weight with every beam. The machine's limits are measured in the same run: reading a table that
fits into no cache, and a product of large matrices. The limit is the larger of both times; the share is limit / measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from transformers.models.qwen2 import Qwen2ForCausalLM

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.llm import LLMBeamSearch
from test.bench.bench_decoding import END, make_model


def best_of(work: Callable[[], object], device: str, rounds: int = 5) -> float:
    """Seconds of the fastest round."""
    found = []
    for _ in range(rounds):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found)


def machine(device: str, dtype: torch.dtype) -> tuple[float, float]:
    """Measure bytes read in a second, and floating point operations of a matrix product in a second."""
    table = torch.ones(1 << 28, dtype=torch.float32, device=device)  # 1 GiB
    rate = table.numel() * 4 / best_of(lambda: table.sum(), device)
    size = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return rate, 2 * size**3 / best_of(lambda: a @ b, device)


def step(
    model: Qwen2ForCausalLM, batch: int, beam: int, prompt: int, tokens: int, device: str, graphs: bool
) -> tuple[float, float, float]:
    """Seconds of a step, bytes that it must read, and operations that it must do; the mean over a search's steps."""
    weight = model.get_input_embeddings().weight
    options = SearchOptions(beam=beam, batch_slots=batch, min_tokens=tokens, graphs=graphs)  # min_tokens: nobody ends early
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randn(prompt, weight.shape[1], generator=generator).to(device, weight.dtype) * 0.06 for _ in range(batch)]
    spent = []
    for _ in range(3):
        search = LLMBeamSearch(model, model.get_input_embeddings(), [END], options)
        search.search(Seq.of(rows), [tokens] * batch)
        spent.append(search.effort.decode_seconds / (tokens - 1))
    read = [p for name, p in model.named_parameters() if "embed_tokens" not in name]  # of the embeddings a few rows
    weights = sum(p.numel() for p in read)
    config = model.config
    per_step = 2 * config.num_hidden_layers * config.num_key_value_heads * (config.hidden_size // config.num_attention_heads)
    kept = batch * (prompt + beam * tokens / 2)  # steps whose keys and values are read
    size = weight.element_size()
    attention = 2 * batch * beam * (prompt + tokens / 2) * 2 * config.num_hidden_layers * config.hidden_size
    return min(spent), size * (weights + kept * per_step), 2 * weights * batch * beam + attention


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--vocab", type=int, default=8000)
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=90)
    parser.add_argument("--tokens", type=int, default=27)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 16])
    parser.add_argument("--graphs", action="store_true", help="steps at fixed shapes, on a GPU as CUDA graphs")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = make_model(args.layers, args.width, args.vocab, args.device)
    rate, speed = machine(args.device, model.get_input_embeddings().weight.dtype)
    print(f"{args.device}, {args.threads} thread(s): reads {rate / 1e9:.1f} GB/s, multiplies at {speed / 1e9:.0f} GFLOP/s")
    shape = f"{args.layers} layers, {args.width} wide, vocabulary {args.vocab}"
    print(f"{shape}, beam {args.beam}, prompt {args.prompt}, {args.tokens} tokens")
    print("batch   MB read   ms    GFLOP   ms   limit ms   measured ms   share")
    for batch in args.batches:
        seconds, read, work = step(model, batch, args.beam, args.prompt, args.tokens, args.device, args.graphs)
        limit = max(read / rate, work / speed)
        print(
            f"{batch:5d} {read / 1e6:9.1f} {1e3 * read / rate:5.1f} {work / 1e9:7.2f} {1e3 * work / speed:5.1f} "
            f"{1e3 * limit:9.1f} {1e3 * seconds:12.1f} {limit / seconds:8.0%}", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
