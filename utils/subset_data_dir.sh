#!/usr/bin/env bash
# Make a data directory of some of the utterances of another.
# Usage: subset_data_dir.sh [--first|--last|--shortest|--speakers|--per-spk] SOURCE N DESTINATION
#    or: subset_data_dir.sh --spk-list FILE | --utt-list FILE SOURCE DESTINATION
#   without an option   N utterances at even distances
#   --first, --last     the first, the last N
#   --shortest          the N shortest, by utt2num_frames or utt2dur, which is made if need be
#   --speakers          whole speakers, chosen at random but always the same, until there are at least N utterances
#   --per-spk           N utterances of every speaker at even distances, or all if there are fewer
#   --spk-list FILE     the speakers of the list; --utt-list FILE: its utterances
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
how=even list=
while [[ $# -gt 0 && $1 == --* ]]; do
  case $1 in
    --first | --last | --shortest | --speakers | --per-spk | --spk-list | --utt-list)
      [[ $how == even ]] || fail "$1 and --$how exclude each other"
      how=${1#--}
      ;;
    --help) usage ;;
    *) fail "$1: no such option" ;;
  esac
  if [[ $how == *-list ]]; then
    [[ $# -gt 1 && $2 != --* ]] || fail "$1: its value is missing"
    list=$2
    [[ -r $list ]] || fail "$list: cannot read this list"
    shift
  fi
  shift
done
if [[ -n $list ]]; then
  [[ $# == 2 ]] || usage
  from=${1%/} number='' to=${2%/}
else
  [[ $# == 3 ]] || usage
  from=${1%/} number=$2 to=${3%/}
  [[ $number =~ ^[1-9][0-9]*$ ]] || fail "the number of utterances must be a whole number from 1, not '$number'"
fi
need "$from/utt2spk"
[[ $(realpath "$from") != $(realpath -m "$to") ]] || fail "$to: source and destination are one folder"
total=$(wc -l <"$from/utt2spk")
if [[ -n $number && $how != per-spk ]] && ((number > total)); then
  fail "$from has $total utterances, fewer than $number"
fi

by_length() { # utterances, the shortest first
  local name=utt2num_frames
  if [[ ! -f $from/$name ]]; then
    name=utt2dur
    [[ -f $from/$name ]] || "$_utils/get_utt2dur.sh" "$from" >&2
  fi
  sort -k2,2g -k1,1 "$from/$name"
}

random_speakers() { # lines of spk2utt in an order that is the same on every machine
  perl -e 'srand 0; my @lines = <STDIN>; print splice @lines, int rand @lines, 1 while @lines' <"$from/spk2utt"
}

chosen() { # their ids
  case $how in
    even) awk -v n="$number" '
      {id[NR - 1] = $1}
      END {for (i = 0; i < n; i++) print id[int(i * NR / n)]}' "$from/utt2spk" ;;
    first) awk -v n="$number" 'NR <= n' "$from/utt2spk" ;;
    last) tail -n "$number" "$from/utt2spk" ;;
    shortest) by_length | awk -v n="$number" 'NR <= n' ;;
    speakers) random_speakers | awk -v n="$number" 'have < n {for (i = 2; i <= NF; i++) print $i; have += NF - 1}' ;;
    per-spk) awk -v n="$number" '{
      have = NF - 1; take = have < n ? have : n
      for (i = 0; i < take; i++) print $(2 + int(i * have / take))
    }' "$from/spk2utt" ;;
    spk-list) "$_utils/filter_scp.pl" -f 2 "$list" "$from/utt2spk" ;;
    utt-list) "$_utils/filter_scp.pl" "$list" "$from/utt2spk" ;;
  esac
}

[[ $how != speakers && $how != per-spk ]] || need "$from/spk2utt"
begin_dir "$to"
if [[ -n $list ]]; then
  listed=$list
  list=$_new/.list
  cat "$listed" >"$list"
fi
chosen >"$_new/.chosen"
[[ -s $_new/.chosen ]] || fail "no utterance of $from is in $listed"
if [[ -n $list ]]; then
  table=$from/utt2spk
  [[ $how != spk-list ]] || table=$from/spk2utt
  unknown=$("$_utils/filter_scp.pl" --exclude "$table" "$list" | wc -l)
  ((unknown == 0)) || echo "${0##*/}: warning: $unknown ids of $listed are not in $from" >&2
fi
filter_dir "$from" "$_new/.chosen" "$_new"
rm -f "$_new/.chosen" "$_new/.list"
finish_dir "$to"
echo "${0##*/}: $(wc -l <"$to/utt2spk") of $total utterances of $from are in $to"
