#!/usr/bin/env bash
# Stage 0: find, download or make a corpus and write Kaldi data directories.
#   steps/prepare.sh CORPUS data [options of `speechlm prepare`]
# Writes data/{train,dev,test}; what is there and complete is kept.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: steps/prepare.sh CORPUS DATA [options of 'speechlm prepare']" >&2
  exit 1
fi
corpus=$1
data=$2
shift 2

wanted="$corpus $*"
if [ -f "$data/.prepared" ] && [ "$(cat "$data/.prepared")" = "$wanted" ]; then
  echo "steps/prepare.sh: $data holds $corpus with the same options; nothing to do (remove $data to make it again)"
  exit 0
fi
rm -f "$data/.prepared"
speechlm prepare "$corpus" --data "$data" "$@"
for set in "$data"/*/; do
  [[ -f $set/wav.scp && $set != */nonspeech* ]] && utils/validate_data_dir.sh --no-feats "${set%/}"
done
printf '%s\n' "$wanted" > "$data/.prepared"
