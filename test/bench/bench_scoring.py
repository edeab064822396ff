"""How long do all reports of a large test set take, beside kaldialign alone? And are the counts the same?

    python test/bench/bench_scoring.py [--utterances 200000 | --million] [--random 100000] [--sclite]

Makes utterances of 20 words with about 10 % errors, runs `speechlm score` (all of Kaldi's reports, sclite's files,
classes, interval) and kaldialign's alignment of the same lists as processes of one thread, and tells seconds and memory.
Then compares substitutions, deletions and insertions of random utterances, one by one, with kaldialign and, if asked
for, their sums with the real sclite. The goal for a million utterances: under 45 s on one core, under 1 GB.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
PEER = """
import sys, kaldialign
for ref, hyp in zip(open(sys.argv[1]), open(sys.argv[2])):
    kaldialign.align(ref.split()[1:], hyp.split()[1:], "*")
"""
WORDS = 20


def make_set(folder: Path, number: int) -> None:
    """Write references, hypotheses and speakers; word frequencies fall off as in a language."""
    random_ = random.Random(0)
    words = [f"word{rank}" for rank in range(20_000)]
    pool = random_.choices(words, [1 / (rank + 10) for rank in range(20_000)], k=1 << 20)
    with open(folder / "ref", "w") as ref, open(folder / "hyp", "w") as hyp, open(folder / "utt2spk", "w") as spk:
        for utterance in range(number):
            key = f"spk{utterance // 500:05d}-utt{utterance:07d}"
            start = random_.randrange(len(pool) - WORDS)
            spoken = pool[start : start + WORDS]
            ref.write(f"{key} {' '.join(spoken)}\n")
            hyp.write(f"{key} {' '.join(heard(spoken, pool, random_))}\n")
            spk.write(f"{key} {key[:8]}\n")


def heard(spoken: list[str], pool: list[str], random_: random.Random) -> list[str]:
    """Distort a transcript: 2 % deletions, 6 % substitutions, 2 % insertions."""
    made = []
    for word in spoken:
        luck = random_.random()
        if luck >= 0.02:
            made.append(random_.choice(pool) if luck < 0.08 else word)
        if luck > 0.98:
            made.append(random_.choice(pool))
    return made


def timed(command: list[str]) -> tuple[float, float, float]:
    """Run one process of one thread; give wall seconds, CPU seconds and the peak of its memory in MB."""
    single = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, **single, "PYTHONPATH": str(ROOT)})  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed with status {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def speed(number: int) -> None:
    """Measure and tell the speed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_set(folder, number)
        paths = [str(folder / part) for part in ("ref", "hyp", "utt2spk", "out")]
        score = [sys.executable, "-m", "speechlm.bin.main", "score", "--ref", paths[0], "--hyp", paths[1], "--utt2spk", paths[2]]
        wall, cpu, memory = timed([*score, "--out", paths[3], "--sclite", "never"])
        peer_wall, peer_cpu, _ = timed([sys.executable, "-c", PEER, *paths[:2]])
        size = sum(path.stat().st_size for path in (folder / "out").rglob("*") if path.is_file()) / 1e6
    print(f"scoring {number} utterances of {WORDS} words, all reports ({size:.0f} MB): {wall:.1f} s ({cpu:.1f} s CPU), "
          f"{memory:.0f} MB; kaldialign.align alone: {peer_wall:.1f} s ({peer_cpu:.1f} s CPU)")  # fmt: skip


def same_counts(number: int, with_sclite: bool) -> None:
    """Compare counts of random utterances with kaldialign, utterance by utterance, and their sums with sclite."""
    import kaldialign

    from speechlm.scoring.align import Vocabulary, align, count
    from speechlm.scoring.sclite import TrnWriter, report

    random_, vocabulary = random.Random(1), Vocabulary()
    pool = [f"w{rank}" for rank in range(300)]
    refs = [random_.choices(pool, k=random_.randint(0, 16)) for _ in range(number)]
    hyps = [heard(ref, pool, random_) for ref in refs]
    ref_ids, hyp_ids = vocabulary.encode(refs), vocabulary.encode(hyps)
    found = count(ref_ids, hyp_ids, align(ref_ids, hyp_ids))
    for ref, hyp, counts in zip(refs, hyps, found):
        oracle = kaldialign.edit_distance(ref, hyp)
        wanted = (len(ref), oracle["sub"], oracle["ins"], oracle["del"])
        if counts != wanted:
            sys.exit(f"{ref} {hyp}: {counts}, kaldialign finds {wanted}")
    print(f"counts of {number} random utterances: the same as kaldialign's, one by one")
    if not with_sclite:
        return
    with tempfile.TemporaryDirectory() as name, TrnWriter(Path(name), vocabulary.units) as trn:
        for place, (ref, hyp, counts) in enumerate(zip(refs, hyps, found)):
            trn.add(f"u{place}", f"s{place % 50}", " ".join(ref), " ".join(hyp), counts)
        trn.flush()
        trn.__exit__(None, None, None)
        text = report(trn.folder, trn.speakers, "word", limit=number).read_text()
    if not text.startswith("Made by /"):
        sys.exit(text.splitlines()[0])
    [row] = [line.replace("|", " ").split() for line in text.splitlines() if "| Sum " in line]
    theirs, ours = row[3:7], totals(trn.speakers)
    print(f"correct, sub, del, ins of sclite: {' '.join(theirs)}; ours: {' '.join(ours)}")
    if theirs != ours:
        sys.exit("they differ")


def totals(speakers: dict) -> list[str]:
    """Give correct, substitutions, deletions and insertions of all speakers."""
    names = ("correct", "substitutions", "deletions", "insertions")
    return [str(sum(getattr(tally, name) for tally in speakers.values())) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=200_000)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--random", type=int, default=100_000)
    parser.add_argument("--sclite", action="store_true", help="compare the sums with the real sclite too (a minute)")
    args = parser.parse_args()
    speed(1_000_000 if args.million else args.utterances)
    same_counts(args.random, args.sclite)


if __name__ == "__main__":
    main()
