#!/usr/bin/env bash
# Stage 2: a list of units, frozen to a folder.
#   steps/tokens.sh --kind char|word|bpe|phone|pinyin --language zh [--options "--size 500"] data/train/text data/lang_char
set -euo pipefail
kind=char
language=none
options=
help_message=$(sed -n '2,3s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
text=$1
lang=$2

if [ -f "$lang/tokens.txt" ] && [ ! "$text" -nt "$lang/tokens.txt" ]; then
  echo "steps/tokens.sh: $lang has $(wc -l < "$lang/tokens.txt") units; nothing to do"
  exit 0
fi
# shellcheck disable=SC2086 # options are words
speechlm tokens --kind "$kind" --text "$text" --language "$language" --out "$lang" $options
