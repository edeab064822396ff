#!/usr/bin/env bash
# Copy a data directory, if wanted with other ids.
# Usage: copy_data_dir.sh [options] SOURCE DESTINATION
#   --utt-prefix, --utt-suffix TEXT   for every utterance id (of recordings too, where there are no segments)
#   --spk-prefix, --spk-suffix TEXT   for every speaker id
#   --validate-opts "WORDS"           more options for validate_data_dir.sh, which examines the copy
# Renamed utterances keep their old id in utt2uniq.
set -euo pipefail
utt_prefix='' utt_suffix='' spk_prefix='' spk_suffix='' validate_opts=''
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
# shellcheck source-path=SCRIPTDIR source=parse_options.sh
. "$_utils/parse_options.sh"
[[ $# == 2 ]] || usage
from=${1%/} to=${2%/}
need "$from/utt2spk"
[[ $(realpath "$from") != $(realpath -m "$to") ]] || fail "$to: source and destination are one folder"
for word in "$utt_prefix" "$utt_suffix" "$spk_prefix" "$spk_suffix"; do
  [[ ! $word =~ [[:space:]/] ]] || fail "'$word': a part of an id must not contain blanks or slashes"
done

# The table $1 with prefix $2 and suffix $3 around its first word, and prefix $4 and suffix $5 around its last.
renamed() {
  [[ ! -f $from/$1 ]] || PRE=$2 POST=$3 PRE2=${4:-} POST2=${5:-} awk '{
    rest = substr($0, length($1) + 1)
    if (ENVIRON["PRE2"] ENVIRON["POST2"] != "") rest = " " ENVIRON["PRE2"] $2 ENVIRON["POST2"]
    print ENVIRON["PRE"] $1 ENVIRON["POST"] rest
  }' "$from/$1" | sort >"$_new/$1"
}

begin_dir "$to"
renamed utt2spk "$utt_prefix" "$utt_suffix" "$spk_prefix" "$spk_suffix"
"$_utils/utt2spk_to_spk2utt.pl" "$_new/utt2spk" | sort >"$_new/spk2utt"
for name in $utterance_tables; do [[ $name == utt2spk ]] || renamed "$name" "$utt_prefix" "$utt_suffix"; done
for name in $speaker_tables; do renamed "$name" "$spk_prefix" "$spk_suffix"; done
for name in $recording_tables; do
  if [[ -f $from/segments ]]; then renamed "$name" '' ''; else renamed "$name" "$utt_prefix" "$utt_suffix"; fi
done
copy_whole "$from" "$_new"
if [[ -n $utt_prefix$utt_suffix && ! -f $from/utt2uniq ]]; then
  PRE=$utt_prefix POST=$utt_suffix awk '{print ENVIRON["PRE"] $1 ENVIRON["POST"], $1}' "$from/utt2spk" |
    sort >"$_new/utt2uniq"
fi
finish_dir "$to"
# shellcheck disable=SC2086 # words
validate_tables "$to" $validate_opts
