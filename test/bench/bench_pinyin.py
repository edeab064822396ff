"""Pinyin speed: sentences a second on one core, cold caches, process start included.

python -m test.bench.bench_pinyin [TEXT_FILE]       (one sentence a line; default: the mini corpus's sentences)
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

NUM_SENTENCES = 100_000


def sentences_of(arguments: list[str]) -> list[str]:
    """Read the file given, or make the built-in sentences; repeated up to the number wanted."""
    from speechlm.corpora.mini_sentences import sentences

    lines = Path(arguments[0]).read_text(encoding="utf-8").split("\n") if arguments else sentences(20_000, seed=1)
    return [lines[i % len(lines)] for i in range(NUM_SENTENCES)]


def main() -> None:
    """Print seconds and sentences a second of inventory, lexicon and encoding."""
    texts = sentences_of(sys.argv[1:])
    start = time.process_time()
    from speechlm.text.lexicon import build_lexicon
    from speechlm.text.pinyin_tokens import PinyinTokenizer

    tokenizer = PinyinTokenizer.build(texts)
    built = time.process_time()
    lexicon = build_lexicon(texts)
    listed = time.process_time()
    num_units = sum(len(tokenizer.encode(text)) for text in texts)
    done = time.process_time()
    for what, seconds in (("inventory", built - start), ("lexicon", listed - built), ("encoding", done - listed)):
        print(f"{what:<10} {seconds:6.2f} s CPU  {len(texts) / seconds:10.0f} sentences/s")
    print(
        f"{len(texts)} sentences, {num_units} units, {tokenizer.size} different, {len(lexicon.entries)} lexicon lines"
    )


if __name__ == "__main__":
    main()
