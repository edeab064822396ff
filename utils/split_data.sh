#!/usr/bin/env bash
# Split a data directory into N parts DATA/splitN/1 ... DATA/splitN/N; speakers stay whole.
# Usage: split_data.sh [--per-utt] DATA N
#   --per-utt   split speakers too, into parts of one size: DATA/splitNutt/1 ...
# Parts that were made from the same tables are kept, so that jobs that still read them are not disturbed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
per_utt=false
while [[ $# -gt 0 && $1 == --* ]]; do
  case $1 in
    --per-utt) per_utt=true ;;
    --help) usage ;;
    *) fail "$1: no such option" ;;
  esac
  shift
done
[[ $# == 2 ]] || usage
data=${1%/} parts=$2
[[ $parts =~ ^[1-9][0-9]*$ ]] || fail "the number of parts must be a whole number from 1, not '$parts'"
need "$data/utt2spk"
split=$data/split$parts
by_speaker=(--utt2spk="$data/utt2spk")
if [[ $per_utt == true ]]; then
  split=${split}utt
  by_speaker=()
fi

tables=()
for name in $utterance_tables $speaker_tables $recording_tables $whole_files; do
  [[ ! -f $data/$name ]] || tables+=("$data/$name")
done
stamp=$(cksum "${tables[@]}")
if [[ -f $split/.source && $(<"$split/.source") == "$stamp" ]]; then exit 0; fi

begin_dir "$split"
lists=()
for ((part = 1; part <= parts; part++)); do
  mkdir "$_new/$part"
  lists+=("$_new/$part/.utterances")
done
"$_utils/split_scp.pl" ${by_speaker[@]+"${by_speaker[@]}"} "$data/utt2spk" "${lists[@]}" ||
  fail "$data was not split into $parts parts$([[ $per_utt == true ]] || echo '; --per-utt splits speakers too')"
for ((part = 1; part <= parts; part++)); do
  filter_dir "$data" "$_new/$part/.utterances" "$_new/$part"
  rm "$_new/$part/.utterances"
done
printf '%s\n' "$stamp" >"$_new/.source"
rm -rf "$split"
mv "$_new" "$split"
