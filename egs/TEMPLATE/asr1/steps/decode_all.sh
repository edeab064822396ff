#!/usr/bin/env bash
# Stage 5 for several experiments: each decodes all the sets, as steps/decode.sh does.
#   steps/decode_all.sh [--cmd run.pl] [--nj 2] [--ngpu 0] [--options "--decode.beam 8"] [--tuned tune_dev] \
#     "exp/x exp/y" data/test [data/target_test ...]
# tuned: folder that `speechlm tune` made in each experiment, whose choice is taken over; empty: the training's options.
set -euo pipefail
cmd=run.pl
nj=2
ngpu=0
options=
tuned=
help_message=$(sed -n '2,5s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -lt 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
experiments=$1
shift

for exp in $experiments; do
  steps/decode.sh --cmd "$cmd" --nj "$nj" --ngpu "$ngpu" --options="$options${tuned:+ --tuned $exp/$tuned/best.yaml}" "$exp" "$@"
done
