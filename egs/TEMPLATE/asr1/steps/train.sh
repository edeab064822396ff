#!/usr/bin/env bash
# Stages 3 and 4: one training; goes on where it was stopped, and does nothing when it is finished.
#   steps/train.sh [--cmd run.pl] [--ngpu 0] conf/x.yaml exp/x [--optim.lr 1e-3 ...]
# Writes exp/x/{options.yaml,options.txt,metrics.jsonl,plots,checkpoints,model.safetensors}.
set -euo pipefail
cmd=run.pl
ngpu=0
while [ $# -gt 0 ]; do
  case "$1" in
    --cmd) cmd=$2; shift 2 ;;
    --ngpu) ngpu=$2; shift 2 ;;
    *) break ;;
  esac
done
if [ $# -lt 2 ]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 1
fi
config=$1
exp=$2
shift 2

start=(speechlm train)
if [ "$ngpu" -gt 1 ]; then
  start=(torchrun --standalone --nproc_per_node "$ngpu" -m speechlm.bin.main train)
fi
echo "steps/train.sh: $config -> $exp (follow it: tail -f $exp/log/train.log)"
OMP_NUM_THREADS=${SPEECHLM_TRAIN_THREADS:-$(nproc)} $cmd --gpu "$ngpu" "$exp/log/train.log" \
  "${start[@]}" --config "$config" --out "$exp" "$@"
