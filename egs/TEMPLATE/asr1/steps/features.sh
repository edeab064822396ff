#!/usr/bin/env bash
# Stage 1: filter bank features in parallel jobs, and the training set's mean and variance.
#   steps/features.sh [--config conf/x.yaml] [--cmd run.pl] [--nj 2] [--rate 16000] [--allow_pipes false] data/train [data/dev ...]
# The YAML's section `features` says what is computed; --rate, --num_mels and --options "--dither 1 ..." win over it.
# Writes into each directory: fbank/*.ark, feats.scp, utt2num_frames, features.json (how they were made); cmvn.ark. A directory
# whose features were made the same way and are newer than its wav.scp is kept.
set -euo pipefail
cmd=run.pl
nj=2
config=
rate=
num_mels=
options=             # more options of `speechlm fbank`
allow_pipes=false
help_message=$(sed -n '2,6s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -lt 1 ]; then
  echo "$help_message" >&2
  exit 1
fi
# shellcheck disable=SC2206 # options are words
fbank=(${config:+--config "$config"} ${rate:+--rate "$rate"} ${num_mels:+--num_mels "$num_mels"} $options)
wanted=$(speechlm fbank ${fbank[@]+"${fbank[@]}"} --show)
if [ "$allow_pipes" = true ]; then fbank+=(--allow_pipes); fi

complete() { # made as wanted, and newer than wav.scp
  [ -s "$1/feats.scp" ] && [ ! "$1/wav.scp" -nt "$1/feats.scp" ] && [ -s "$1/cmvn.ark" ] &&
    [ "$(cat "$1/features.json" 2>/dev/null)" = "$wanted" ]
}

for dir in "$@"; do
  if complete "$dir"; then
    echo "steps/features.sh: $dir has its features; nothing to do"
    continue
  fi
  rm -f "$dir/features.json"
  utterances=$(wc -l < "$dir/utt2spk")
  jobs=$((nj < utterances ? nj : utterances))
  $cmd JOB=1:"$jobs" "$dir/log/fbank.JOB.log" \
    speechlm fbank --scp_dir "$dir" --out "$dir/fbank" --job JOB --num_jobs "$jobs" ${fbank[@]+"${fbank[@]}"}
  stem=$dir/fbank/fbank_$(basename "$dir")
  for job in $(seq "$jobs"); do
    if [ "$(cat "$stem.$job.json")" != "$wanted" ]; then
      echo "steps/features.sh: $stem.$job.json: made with other options than stage 1 began with; do not change ${config:-them} while it runs" >&2
      exit 1
    fi
  done
  for table in feats.scp:scp utt2num_frames:utt2num_frames; do
    for job in $(seq "$jobs"); do cat "$stem.$job.${table#*:}"; done | LC_ALL=C sort > "$dir/.${table%:*}.new"
    mv "$dir/.${table%:*}.new" "$dir/${table%:*}"
  done
  speechlm cmvn "$dir"
  printf '%s\n' "$wanted" > "$dir/.features.json.new"
  mv "$dir/.features.json.new" "$dir/features.json"
  echo "steps/features.sh: $dir: $(wc -l < "$dir/feats.scp") of $utterances utterances have features"
done
