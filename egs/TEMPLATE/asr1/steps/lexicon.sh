#!/usr/bin/env bash
# Stage 2: a pinyin lexicon and the unit list, frozen to a folder, from the texts of one or more data directories.
#   steps/lexicon.sh [--options "--units initial_final --tones false"] data/lang_pinyin data/text [data/text_aux10 ...]
# Writes data/lang_pinyin/{lexicon.txt,lexicon.json,tokens.txt,tokenizer.json}.
set -euo pipefail
options=
help_message=$(sed -n '2,4s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -lt 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
lang=$1
shift

texts=("${@/%//text}")
newer=()
for text in "${texts[@]}"; do
  if [ "$text" -nt "$lang/lexicon.json" ]; then newer+=("$text"); fi
done
wanted="${texts[*]} $options"
if [ ${#newer[@]} -eq 0 ] && [ "$(cat "$lang/.made" 2>/dev/null)" = "$wanted" ]; then
  echo "steps/lexicon.sh: $lang has $(wc -l < "$lang/tokens.txt") units; nothing to do"
  exit 0
fi
# shellcheck disable=SC2086 # options are words
speechlm lexicon --text "${texts[@]}" --out "$lang" $options
printf '%s\n' "$wanted" > "$lang/.made"
