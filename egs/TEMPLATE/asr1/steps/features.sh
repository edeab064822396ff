#!/usr/bin/env bash
# Stage 1: filter bank features in parallel jobs, and the training set's mean and variance.
#   steps/features.sh [--cmd run.pl] [--nj 2] [--rate 16000] [--allow_pipes false] data/train [data/dev ...]
# Writes into each directory: fbank/*.ark, feats.scp, utt2num_frames; cmvn.ark. A directory whose feats.scp is newer than its
# wav.scp and just as complete is kept.
set -euo pipefail
cmd=run.pl
nj=2
rate=16000
num_mels=80
allow_pipes=false
help_message=$(sed -n '2,5s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -lt 1 ]; then
  echo "$help_message" >&2
  exit 1
fi

complete() { # feats.scp has a line for each utterance and is newer than wav.scp
  [ -s "$1/feats.scp" ] && [ ! "$1/wav.scp" -nt "$1/feats.scp" ] && [ -s "$1/cmvn.ark" ] &&
    [ "$(cat "$1/.features" 2>/dev/null)" = "$rate $num_mels" ]
}

for dir in "$@"; do
  if complete "$dir"; then
    echo "steps/features.sh: $dir has its features; nothing to do"
    continue
  fi
  utterances=$(wc -l < "$dir/utt2spk")
  jobs=$((nj < utterances ? nj : utterances))
  pipes=()
  [ "$allow_pipes" = true ] && pipes=(--allow_pipes)
  $cmd JOB=1:"$jobs" "$dir/log/fbank.JOB.log" \
    speechlm fbank --scp_dir "$dir" --out "$dir/fbank" --job JOB --num_jobs "$jobs" \
    --rate "$rate" --num_mels "$num_mels" ${pipes[@]+"${pipes[@]}"}
  for table in feats.scp:scp utt2num_frames:utt2num_frames; do
    for job in $(seq "$jobs"); do cat "$dir/fbank/fbank_$(basename "$dir").$job.${table#*:}"; done |
      LC_ALL=C sort > "$dir/.${table%:*}.new"
    mv "$dir/.${table%:*}.new" "$dir/${table%:*}"
  done
  speechlm cmvn "$dir"
  echo "$rate $num_mels" > "$dir/.features"
  echo "steps/features.sh: $dir: $(wc -l < "$dir/feats.scp") of $utterances utterances have features"
done
