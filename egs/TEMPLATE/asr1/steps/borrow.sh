#!/usr/bin/env bash
# Stand in for a training: an experiment of another recipe becomes exp/NAME here, to be tested on this recipe's data.
#   steps/borrow.sh ../../librispeech/asr1/exp/NAME exp
# Links what decoding reads; decode folders are made here. Checkpoints given as relative paths must lead somewhere from here.
set -euo pipefail
if [ $# -ne 2 ]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 1
fi
from=$(cd "$1" && pwd)
to=$2/$(basename "$from")
if [ ! -f "$from/model.safetensors" ]; then
  echo "steps/borrow.sh: $1 has no model.safetensors; train it first" >&2
  exit 1
fi
mkdir -p "$to"
for path in "$from"/*; do
  case $(basename "$path") in
    decode_* | tune_* | checkpoints | log | report.html) ;;
    *) ln -sfn "$path" "$to/" ;;
  esac
done
for tuned in "$from"/tune_*/best.yaml; do
  [ -f "$tuned" ] || continue
  mkdir -p "$to/$(basename "$(dirname "$tuned")")"
  ln -sfn "$tuned" "$to/$(basename "$(dirname "$tuned")")/"
done
echo "steps/borrow.sh: $to stands for $1"
