#!/usr/bin/env bash
# Stand in for a training: an experiment of another recipe becomes exp/NAME here, to be tested on this recipe's data.
#   steps/borrow.sh ../../librispeech/asr1/exp/NAME [...] exp
# Links what decoding reads; decode folders are made here. Checkpoints given as relative paths must lead somewhere from here.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 1
fi
place=${!#}

for given in "${@:1:$#-1}"; do
  from=$(cd "$given" && pwd)
  to=$place/$(basename "$from")
  if [ ! -f "$from/model.safetensors" ]; then
    echo "steps/borrow.sh: $given has no model.safetensors; train it first" >&2
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
  echo "steps/borrow.sh: $to stands for $given"
done
