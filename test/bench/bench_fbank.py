"""How many times as fast as soundfile + torchaudio + kaldiio is `speechlm fbank`, process start included?

    python test/bench/bench_fbank.py [--files 600] [--repeat 3]

Writes an hour of 16 kHz audio into a temporary folder, runs both from wav.scp to ark as processes of one thread, in
turns, and compares the best times. The target is a ratio of 3. On a busy machine look at the processor time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 6
BASELINE = """
import sys
import soundfile, torch, torchaudio.compliance.kaldi as kaldi
from kaldiio import WriteHelper
torch.set_num_threads(1)
with WriteHelper(f"ark,scp:{sys.argv[2]}.ark,{sys.argv[2]}.scp") as writer:
    for line in open(sys.argv[1]):
        utt, path = line.split()
        samples, rate = soundfile.read(path, dtype="float32")
        wave = torch.from_numpy(samples)[None] * 32768
        features = kaldi.fbank(wave, num_mel_bins=80, sample_frequency=rate, dither=0.0, energy_floor=0.0)
        writer(utt, features.numpy())
"""


def make_data(folder: Path, files: int) -> None:
    """Write `files` wavs of noise with a slow envelope, as a data directory."""
    import soundfile

    random = np.random.default_rng(0)
    lines = []
    for i in range(files):
        noise = random.standard_normal(16000 * SECONDS, dtype=np.float32)
        envelope = 0.1 * (1 + np.sin(np.arange(len(noise)) / 3000 + i))
        soundfile.write(folder / f"u{i:04d}.wav", (noise * envelope).clip(-1, 1), 16000, subtype="PCM_16")
        lines.append(f"u{i:04d} {folder}/u{i:04d}.wav\n")
    (folder / "wav.scp").write_text("".join(lines))


def timed(command: list[str]) -> tuple[float, float]:
    """Run one process of one thread; its seconds from start to end, and those that it had the processor."""
    single = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **single, "PYTHONPATH": str(ROOT)})
    spent, after = time.perf_counter() - start, os.times()
    return spent, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=600, help=f"wavs of {SECONDS} s (default 600: one hour)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default 3)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, args.files)
        ours = [sys.executable, "-m", "speechlm.bin.main", "fbank", "--scp_dir", name, "--out", f"{name}/ours"]
        theirs = [sys.executable, "-c", BASELINE, f"{name}/wav.scp", f"{name}/theirs"]
        times = [(timed(ours), timed(theirs)) for _ in range(args.repeat)]
    hours = args.files * SECONDS / 3600
    mine, others = zip(*times, strict=True)
    wall, wall_other = min(wall for wall, _ in mine), min(wall for wall, _ in others)
    cpu, cpu_other = min(cpu for _, cpu in mine), min(cpu for _, cpu in others)
    print(
        f"fbank, {hours:.2f} h of wav to ark, one process: {wall:.2f} s; soundfile + torchaudio + kaldiio"
        f" {wall_other:.2f} s; ratio {wall_other / wall:.2f}"
        f" (processor time {cpu:.2f} and {cpu_other:.2f} s, ratio {cpu_other / cpu:.2f})"
    )


if __name__ == "__main__":
    main()
