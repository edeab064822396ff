# shellcheck shell=bash
# What the scripts that make data directories share: which tables there are, and what their ids are.

export LC_ALL=C
_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
_utils=$_root/utils
# shellcheck disable=SC2034 # read by the scripts
utterance_tables='utt2spk text segments feats.scp vad.scp utt2dur utt2num_frames utt2lang utt2uniq'
# shellcheck disable=SC2034
speaker_tables='spk2gender spk2age cmvn.scp'
# shellcheck disable=SC2034
recording_tables='wav.scp reco2dur reco2num_channels reco2file_and_channel'
# shellcheck disable=SC2034
whole_files='cmvn.ark features.json'

fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# The leading comment of the script as its usage, and exit status 1.
usage() {
  sed -n -e '1d' -e '/^#/!q' -e 's/^# \{0,1\}//p' "$0" >&2
  exit 1
}

need() { # FILE...
  local file
  for file; do [[ -s $file ]] || fail "$file: no such file, or it is empty"; done
}

# The `speechlm` command of this project, wherever it is called from.
speechlm() {
  PYTHONPATH=$_root${PYTHONPATH:+:$PYTHONPATH} LC_ALL=C.UTF-8 "${PYTHON:-python3}" -m speechlm.bin.main "$@"
}

# A new folder beside $1, in which $1 is built; the script ends with finish_dir. What is left of a failure is removed.
begin_dir() {
  local parent
  parent=$(dirname "$1")
  mkdir -p "$parent"
  _new=$(mktemp -d "$parent/.$(basename "$1").XXXXXX")
  trap 'rm -rf "$_new"' EXIT
  chmod 755 "$_new"
}

# Move what was built to $1. Of an older $1 only the tables are replaced; the rest (log, fbank) stays.
finish_dir() {
  local name
  if [[ -d $1 ]]; then
    for name in $utterance_tables $speaker_tables $recording_tables spk2utt $whole_files; do rm -f "$1/$name"; done
    for name in "$_new"/*; do
      [[ ! -d $name ]] || rm -rf "${1:?}/${name##*/}"
      mv "$name" "$1/"
    done
  else
    mv "$_new" "$1"
  fi
}

# Write into directory $3 the tables of directory $1, cut down to the utterances in the file $2.
filter_dir() {
  local name
  "$_utils/filter_scp.pl" "$2" "$1/utt2spk" >"$3/utt2spk"
  "$_utils/utt2spk_to_spk2utt.pl" "$3/utt2spk" >"$3/spk2utt"
  for name in $utterance_tables; do
    [[ ! -f $1/$name || $name == utt2spk ]] || "$_utils/filter_scp.pl" "$3/utt2spk" "$1/$name" >"$3/$name"
  done
  for name in $speaker_tables; do
    [[ ! -f $1/$name ]] || "$_utils/filter_scp.pl" "$3/spk2utt" "$1/$name" >"$3/$name"
  done
  # Without segments a recording is an utterance.
  local recordings=$3/utt2spk
  if [[ -f $1/segments ]]; then
    recordings=$3/.recordings
    awk '{print $2}' "$3/segments" | sort -u >"$recordings"
  fi
  for name in $recording_tables; do
    [[ ! -f $1/$name ]] || "$_utils/filter_scp.pl" "$recordings" "$1/$name" >"$3/$name"
  done
  rm -f "$3/.recordings"
  copy_whole "$1" "$3"
}

# Copy what tells of a whole set, and so of its parts: statistics, and how the features were made.
copy_whole() {
  local name
  for name in $whole_files; do
    [[ ! -f $1/$name ]] || cp -p "$1/$name" "$2/"
  done
}

# Examine what was made, except the audio, which nothing here changes: validate_tables DIR OPTION...
validate_tables() {
  local words=(--check_audio false)
  [[ -f $1/text ]] || words+=(--no-text)
  [[ -f $1/wav.scp ]] || words+=(--no-wav)
  "$_utils/validate_data_dir.sh" "${words[@]}" "${@:2}" "$1"
}
