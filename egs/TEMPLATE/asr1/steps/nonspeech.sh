#!/usr/bin/env bash
# Sound without words, with empty transcripts: a set to train on and one, of other recordings, to test on.
#   steps/nonspeech.sh data [options of `speechlm nonspeech`: --noise_scp SCP, --musan DIR, --esc50 DIR, --hours, --seconds]
# Writes data/nonspeech and data/nonspeech_test; what is there with the same options is kept.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 1
fi
data=$1
shift

if [ -f "$data/.nonspeech" ] && [ "$(cat "$data/.nonspeech")" = "$*" ]; then
  echo "steps/nonspeech.sh: $data/nonspeech was made with the same options; nothing to do"
  exit 0
fi
rm -f "$data/.nonspeech"
speechlm nonspeech --out "$data/nonspeech" "$@"
printf '%s\n' "$*" > "$data/.nonspeech"
