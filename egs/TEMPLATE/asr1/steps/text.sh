#!/usr/bin/env bash
# A text-only data directory: the transcripts of a set and more sentences, one a line, each once.
#   steps/text.sh data/train/text SENTENCES|"" data/train_text
set -euo pipefail
if [ $# -ne 3 ]; then
  sed -n '2,3s/^# \{0,1\}//p' "$0" >&2
  exit 1
fi
mkdir -p "$3"
{
  cut -d ' ' -f 2- "$1"
  [ -z "$2" ] || cat "$2"
} | LC_ALL=C sort -u | awk 'NF { printf "text-%08d %s\n", ++n, $0 }' > "$3/text.new"
mv "$3/text.new" "$3/text"
awk '{ print $1, "text" }' "$3/text" > "$3/utt2spk"
echo "steps/text.sh: $(wc -l < "$3/text") sentences in $3/text"
