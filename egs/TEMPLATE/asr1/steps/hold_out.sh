#!/usr/bin/env bash
# Stage 0 of a corpus without a test set: its last utterances become development and test set, half each.
#   steps/hold_out.sh data/WHOLE N
# Writes data/{train,dev,test}; what is there for the same N is kept, unless stage 0 has prepared anew.
set -euo pipefail
if [ $# -ne 2 ]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 1
fi
whole=$1
held_out=$2
data=$(dirname "$whole")

# Files made anew would make stage 2 anew.
if [ "$(cat "$data/.split" 2>/dev/null)" = "$held_out" ] && [ ! "$data/.prepared" -nt "$data/.split" ]; then exit 0; fi
half=$((held_out / 2))
utils/subset_data_dir.sh --first "$whole" $(($(wc -l < "$whole/utt2spk") - held_out)) "$data/train"
utils/subset_data_dir.sh --last "$whole" "$held_out" "$data/held_out"
utils/subset_data_dir.sh --first "$data/held_out" $half "$data/dev"
utils/subset_data_dir.sh --last "$data/held_out" $((held_out - half)) "$data/test"
echo "$held_out" > "$data/.split"
