#!/usr/bin/env bash
# Stage 5: decode data directories in parallel jobs; jobs that were stopped go on, what is decoded is kept.
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

for data in "$@"; do
  out=$exp/decode_$(basename "$data")${tag:+_$tag}
  utterances=$(wc -l < "$data/utt2spk")
  jobs=$((nj < utterances ? nj : utterances))
  # shellcheck disable=SC2086 # options are words
  $cmd --gpu "$ngpu" JOB=1:"$jobs" "$out/log/decode.JOB.log" \
    speechlm decode --exp "$exp" --data "$data" --out "$out" --job JOB --num_jobs "$jobs" $options
  # shellcheck disable=SC2086
  speechlm decode --exp "$exp" --data "$data" --out "$out" --merge "$jobs" $options
done
