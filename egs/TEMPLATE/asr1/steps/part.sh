#!/usr/bin/env bash
# A copy of a data directory under another name, or a part of it; one that is there with just these utterances, and newer than what it
# is made of, is left alone, so that its features stay.
#   steps/part.sh [--list UTTERANCES] data/from data/to
set -euo pipefail
list=                # file whose lines begin with the ids of the utterances to take, such as a text; empty takes all
help_message=$(sed -n '2,4s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
from=$1
to=$2

ids() { cut -d ' ' -f 1 "$1" | LC_ALL=C sort -u; }
up_to_date() {
  local table
  [ -s "$to/utt2spk" ] && cmp -s <(ids "${list:-$from/utt2spk}") <(ids "$to/utt2spk") || return 1
  for table in wav.scp segments utt2spk text; do
    if [ "$from/$table" -nt "$to/$table" ]; then return 1; fi # or is not there
  done
}

if up_to_date; then
  echo "steps/part.sh: $to is there; nothing to do"
else
  rm -rf "$to"
  if [ -n "$list" ]; then utils/subset_data_dir.sh --utt-list "$list" "$from" "$to"; else utils/copy_data_dir.sh "$from" "$to"; fi
fi
