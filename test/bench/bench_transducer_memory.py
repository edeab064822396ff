"""Peak memory of a transducer's training step on the CPU, joined for the whole batch at once or in chunks.

    python -m test.bench.bench_transducer_memory [--utterances 16] [--chunks 0 4 1]

Each row is a process of its own: joiner and loss, forward and backward, of 16 utterances of 12 s (300 steps) with 150
characters out of 46, joint width 256; the encoder's output is given. "own" is what the step adds to the memory the
process had before it (ru_maxrss).

Measured on 21 November 2026 (torch 2.11 CPU, one thread of a shared machine, so the seconds are rough):

    utterances  16  chunk  0  own    2252 MiB   39.8 s  loss 23325.480
    utterances  16  chunk  4  own     882 MiB   53.9 s  loss 23325.482
    utterances  16  chunk  1  own     467 MiB   57.4 s  loss 23325.480
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

STEPS, UNITS, VOCAB, DIM = 300, 150, 46, 512


def measure(utterances: int, chunk: int) -> None:
    """One step in this process; print MiB and seconds."""
    import torch

    from speechlm.core.batch import Batch, Output
    from speechlm.core.seq import Seq
    from speechlm.heads.transducer import TransducerHead
    from speechlm.losses.transducer import TransducerLoss
    from speechlm.models.transducer import Transducer

    class Given(torch.nn.Module):
        def forward(self, speech: Seq) -> Seq:
            return speech

    torch.manual_seed(0)
    model = Transducer(Given(), TransducerHead(DIM, VOCAB))
    lens = torch.full((utterances,), STEPS)
    speech = Seq(torch.randn(utterances, STEPS, DIM, requires_grad=True), lens)
    targets = Seq(torch.randint(1, VOCAB, (utterances, UNITS)), torch.full((utterances,), UNITS))
    batch = Batch([""] * utterances, speech, torch.full((utterances,), 12.0), [""] * utterances, targets)
    loss = TransducerLoss(chunk=chunk)
    small = Seq(speech.data[:1, :4], torch.tensor([4]))  # warms up: libraries are loaded before the first reading
    loss(Output(encoded=small, joint_logits=torch.randn(1, 4, 3, VOCAB)), Batch([""], small, torch.ones(1), [""],
         Seq(torch.ones(1, 2, dtype=torch.int64), torch.tensor([2]))))  # fmt: skip
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    total, _ = loss(model(batch), batch)
    total.backward()
    seconds = time.perf_counter() - start
    own = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"utterances {utterances:3d}  chunk {chunk:2d}  own {own:7.0f} MiB  {seconds:5.1f} s  loss {total.item():.3f}")


def main() -> None:
    """Start a process for each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=16)
    parser.add_argument("--chunks", type=int, nargs="+", default=[0, 4, 1])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one is not None:
        measure(args.utterances, args.one)
        return
    for chunk in args.chunks:
        command = [sys.executable, "-m", "test.bench.bench_transducer_memory", "--utterances", str(args.utterances)]
        subprocess.run([*command, "--one", str(chunk)], check=True)


if __name__ == "__main__":
    main()
