#!/usr/bin/env bash
# Stage 5: decode data directories in parallel jobs, each of which loads the model once; jobs that were stopped go on.
#   steps/decode.sh [--cmd run.pl] [--nj 2] [--ngpu 0] [--options "--decode.beam 8"] exp/x data/test [data/dev ...]
# Writes exp/x/decode_<set>[_<tag>]/{text,score,nbest.jsonl,stats.json}; with --decode.times word or char also ctm.
set -euo pipefail
cmd=run.pl
nj=2
ngpu=0
tag=
options=
help_message=$(sed -n '2,4s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -lt 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
exp=$1
shift

outs=()
jobs=1
for data in "$@"; do
  outs+=("$exp/decode_$(basename "$data")${tag:+_$tag}")
  utterances=$(wc -l < "$data/utt2spk")
  jobs=$((utterances > jobs ? utterances : jobs))
done
jobs=$((nj < jobs ? nj : jobs))
log=${outs[0]}/log/decode
[ $# = 1 ] || log=$exp/log/decode${tag:+_$tag}
# shellcheck disable=SC2086 # options are words
$cmd --gpu "$ngpu" JOB=1:"$jobs" "$log.JOB.log" \
  speechlm decode --exp "$exp" --data "$@" --out "${outs[@]}" --job JOB --num_jobs "$jobs" $options
# shellcheck disable=SC2086
speechlm decode --exp "$exp" --data "$@" --out "${outs[@]}" --merge "$jobs" $options
