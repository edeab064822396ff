#!/usr/bin/env bash
# Stage 1 for a frozen encoder: its outputs once, for all epochs and trainings. The directories are copied with them as features.
#   steps/encode.sh [--cmd run.pl] [--nj 2] [--ngpu 0] [--compress 0] [--options "..."] conf/encoder.yaml data/cache data/train [...]
# or, for the encoder of a trained experiment, which reads features: steps/encode.sh [...] exp/NAME data/cache data/train [...]
# Writes data/cache/encoder.json, which tells whose outputs they are, and data/cache/<set>/{feats.scp,utt2num_frames,...}.
set -euo pipefail
cmd=run.pl
nj=2
ngpu=0
compress=0           # Kaldi's compression: 0 keeps float32, 3 takes half of it, 2 a quarter
options=             # of the encoder, as in "--encoder.checkpoint DIR"
help_message=$(sed -n '2,5s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -lt 3 ]; then
  echo "$help_message" >&2
  exit 1
fi
config=$1
cache=$2
shift 2

if [ -d "$config" ]; then
  given=(--exp "$config")
  wanted="$config $(cksum < "$config/model.safetensors") $compress"
else
  given=(--config "$config")
  wanted="$(sed '/^#/d' "$config") $options $compress"
fi
for dir in "$@"; do
  set=$(basename "$dir")
  out=$cache/$set
  if [ -s "$out/feats.scp" ] && [ ! "$dir/wav.scp" -nt "$out/feats.scp" ] && [ "$(cat "$out/.encoded" 2>/dev/null)" = "$wanted" ]; then
    echo "steps/encode.sh: $out has the encoder's outputs; nothing to do"
    continue
  fi
  utils/copy_data_dir.sh "$dir" "$out"
  rm -f "$out/features.json" # it tells of filter bank features
  utterances=$(wc -l < "$out/utt2spk")
  jobs=$((nj < utterances ? nj : utterances))
  # shellcheck disable=SC2086 # options are words
  $cmd --gpu "$ngpu" JOB=1:"$jobs" "$out/log/encode.JOB.log" \
    speechlm encode "${given[@]}" --scp_dir "$dir" --out "$cache" --name "$set" --job JOB --num_jobs "$jobs" \
    --compress "$compress" $options
  for table in feats.scp:scp utt2num_frames:frames; do
    for job in $(seq "$jobs"); do cat "$cache/encoded_$set.$job.${table#*:}"; done | LC_ALL=C sort > "$out/.${table%:*}.new"
    mv "$out/.${table%:*}.new" "$out/${table%:*}"
  done
  printf '%s\n' "$wanted" > "$out/.encoded"
  echo "steps/encode.sh: $out: $(wc -l < "$out/feats.scp") of $utterances utterances are encoded"
done
