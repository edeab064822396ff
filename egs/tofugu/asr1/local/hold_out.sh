#!/usr/bin/env bash
# Development and test set of synthesised speech: the same voices, other phrases, at even distances over the speakers.
#   local/hold_out.sh data/spoken/train N data/source
# Writes data/source_{train,dev,test}; five eighths of N are for test. What is there is kept, unless the first is newer.
set -euo pipefail
if [ $# -ne 3 ]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 1
fi
whole=$1
number=$2
out=$3
[ ! -f "${out}_test/text" ] || [ "$whole/text" -nt "${out}_test/text" ] || exit 0
list=$(mktemp)
trap 'rm -f "$list"' EXIT
utils/subset_data_dir.sh "$whole" "$number" "${out}_held_out"
utils/filter_scp.pl --exclude "${out}_held_out/utt2spk" "$whole/utt2spk" > "$list"
utils/subset_data_dir.sh --utt-list "$list" "$whole" "${out}_train"
utils/subset_data_dir.sh "${out}_held_out" $((number * 5 / 8)) "${out}_test"
utils/filter_scp.pl --exclude "${out}_test/utt2spk" "${out}_held_out/utt2spk" > "$list"
utils/subset_data_dir.sh --utt-list "$list" "${out}_held_out" "${out}_dev"
