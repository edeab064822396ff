#!/usr/bin/env bash
# Join data directories into one.
# Usage: combine_data.sh [options] DESTINATION SOURCE...
#   --extra-files "NAMES"   more tables to join, which every source must have
#   --skip-fix true         leave out fix_data_dir.sh at the end
# A table that only some of the sources have is left out, with a message. If only some have segments, the others get
# them: one from the beginning to the end of every recording.
set -euo pipefail
extra_files='' skip_fix=false
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
# shellcheck source-path=SCRIPTDIR source=parse_options.sh
. "$_utils/parse_options.sh"
[[ $# -ge 2 ]] || usage
to=${1%/}
shift
sources=("${@%/}")
for from in "${sources[@]}"; do
  need "$from/utt2spk"
  [[ $(realpath "$from") != $(realpath -m "$to") ]] || fail "$to is also a source"
  for name in $extra_files; do need "$from/$name"; done
done

how_many() { # sources that have the table $1
  local from count=0
  for from in "${sources[@]}"; do [[ ! -f $from/$1 ]] || count=$((count + 1)); done
  echo "$count"
}

# The table $1 of the source $2, on standard output.
table_of() {
  if [[ -f $2/$1 ]]; then
    cat "$2/$1"
  elif [[ $1 == segments ]]; then
    [[ -f $2/utt2dur ]] || "$_utils/get_utt2dur.sh" "$2" >&2
    awk '{print $1, $1, "0.00", $2}' "$2/utt2dur"
  fi
}

# Join the table $1. The same line may stand in several sources, two lines of one id may not differ.
join_table() {
  local from twice
  for from in "${sources[@]}"; do table_of "$1" "$from"; done | sort -u >"$_new/$1"
  twice=$(awk 'before == $1 {print $1; exit} {before = $1}' "$_new/$1")
  [[ -z $twice ]] ||
    fail "$1: the id $twice stands for different things in the sources; rename with copy_data_dir.sh --utt-prefix"
}

# Features of two kinds do not become one set; how they were made is told only where every source tells it.
kinds=$(for from in "${sources[@]}"; do [[ ! -f $from/features.json ]] || cat "$from/features.json"; done | sort -u | wc -l)

begin_dir "$to"
for name in $utterance_tables $speaker_tables $recording_tables; do
  count=$(how_many "$name")
  ((count > 0)) || continue
  if ((kinds > 1)) && [[ $name == feats.scp || $name == utt2num_frames ]]; then
    echo "${0##*/}: $name is left out, the sources' features were made in $kinds ways (see their features.json)" >&2
    continue
  fi
  if [[ $name == segments ]] || ((count == ${#sources[@]})); then
    join_table "$name"
  else
    echo "${0##*/}: $name is left out, $(( ${#sources[@]} - count )) of ${#sources[@]} sources have none" >&2
  fi
done
for name in $extra_files; do join_table "$name"; done
if ((kinds == 1)) && (($(how_many features.json) == ${#sources[@]})); then cp -p "${sources[0]}/features.json" "$_new/"; fi
repeated=$(cat "${sources[@]/%//utt2spk}" | wc -l)
total=$(wc -l <"$_new/utt2spk")
((repeated == total)) || echo "${0##*/}: warning: $((repeated - total)) utterances stand in more than one source" >&2
"$_utils/utt2spk_to_spk2utt.pl" "$_new/utt2spk" | sort >"$_new/spk2utt"
finish_dir "$to"
[[ $skip_fix == true ]] || "$_utils/fix_data_dir.sh" "$to"
echo "${0##*/}: $(wc -l <"$to/utt2spk") utterances of ${#sources[@]} directories are in $to"
