"""Cut the long recordings of a data directory in their quietest places: a new directory with `segments`."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("data", metavar="DATA", help="data directory whose wav.scp names recordings; it has no segments yet")
    add("out", metavar="OUT", help="data directory to write: wav.scp, segments, utt2spk, spk2utt, utt2dur")
    add("--max_seconds", type=float, default=30.0, help="longest segment (default 30)")
    add("--channel", type=int, help="channel of audio with several, from 0; stands in segments then")
    add("--allow_pipes", nargs="?", const="true", default="false", choices=["true", "false"],
        help="run the commands that stand in wav.scp (default false)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Cut every recording; segments cover it without gap or overlap, and nothing is written if one cannot be read."""
    import logging

    from speechlm.core.errors import UserError
    from speechlm.core.log import clock, progress
    from speechlm.io.datadir import DataDir

    data, log = DataDir(args.data), logging.getLogger("speechlm")
    recordings = data.wav_scp
    if recordings is None:
        raise UserError(f"{args.data}/wav.scp: no such file; it names the recordings to cut")
    if data.segments is not None:
        raise UserError(f"{args.data}/segments: the recordings are cut already; take the file away to cut them anew")
    if Path(args.out).resolve() == Path(args.data).resolve():
        raise UserError(f"{args.out}: is the directory that is read; name another")
    segments, seconds, faults, spoken = {}, {}, [], 0
    for recording, location in progress(recordings.items(), total=len(recordings), what="cutting", unit="recording"):
        try:
            for utt, start, end, in_speech in cut_recording(recording, location, args):
                channel = "" if args.channel is None else f" {args.channel}"
                segments[utt] = f"{recording} {_number(start)} {_number(end)}{channel}"
                seconds[utt] = f"{end - start:.4f}"
                spoken += in_speech
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    _write(Path(args.out), data, recordings, segments, seconds)
    total = clock(sum(map(float, seconds.values())))
    cuts = len(segments) - len(recordings)
    log.info("%s: %d recordings, %s, cut into %d segments", args.out, len(recordings), total, len(segments))
    if spoken:
        log.warning("%s: %d of %d cuts found no pause and may part a word", args.out, spoken, cuts)
    if data.text is not None:
        log.warning("%s/text: not carried over, it tells what is said in whole recordings", args.data)


def cut_recording(recording: str, location: str, args: argparse.Namespace) -> list[tuple[str, float, float, bool]]:
    """Cut one recording: id of each segment, start, end, and whether the cut at its end found no pause.

    Ids hold the times in hundredths of a second, of equal width, so that they sort.
    """
    from speechlm.features.vad import split
    from speechlm.io.blocks import audio_blocks

    found = []
    with audio_blocks(location, channel=args.channel, allow_pipes=args.allow_pipes == "true") as (rate, blocks):
        for part in split(blocks, rate, args.max_seconds):
            start, end = part.start / rate, part.end / rate
            found.append((f"{recording}-{round(start * 100):07d}-{round(end * 100):07d}", start, end, part.in_speech))
    return found


def _number(seconds: float) -> str:
    """Write a time so that it leads back to the very sample at every usual rate."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _write(
    out: Path, data, recordings: dict[str, str], segments: dict[str, str], seconds: dict[str, str]  # noqa: ANN001
) -> None:
    """Write the new directory as a whole."""
    from speechlm.io.files import atomic_dir
    from speechlm.io.tables import write_table

    speakers = {utt: (data.utt2spk or {}).get(value.split()[0], value.split()[0]) for utt, value in segments.items()}
    of_speaker: dict[str, list[str]] = {}
    for utt in sorted(segments):
        of_speaker.setdefault(speakers[utt], []).append(utt)
    with atomic_dir(out) as folder:
        write_table(folder / "wav.scp", recordings)
        write_table(folder / "segments", segments)
        write_table(folder / "utt2spk", speakers)
        write_table(folder / "spk2utt", {speaker: " ".join(utts) for speaker, utts in of_speaker.items()})
        write_table(folder / "utt2dur", seconds)
