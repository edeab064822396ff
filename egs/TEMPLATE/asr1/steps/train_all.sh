#!/usr/bin/env bash
# Stage 4 for several experiments: conf/NAME.yaml -> exp/NAME for each name, as steps/train.sh does.
#   steps/train_all.sh [--cmd run.pl] [--ngpu 0] [--llm_options "..."] "NAME ..." [options of all trainings, as --train.seed 2]
# llm_options are for those with an LLM (a section `llm` in their conf) and win over the options of all.
set -euo pipefail
cmd=run.pl
ngpu=0
llm_options=
help_message=$(sed -n '2,4s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -lt 1 ]; then
  echo "$help_message" >&2
  exit 1
fi
names=$1
shift

for name in $names; do
  own=
  if grep -q '^llm:' "conf/$name.yaml"; then own=$llm_options; fi
  # shellcheck disable=SC2086 # options are words
  steps/train.sh --cmd "$cmd" --ngpu "$ngpu" "conf/$name.yaml" "exp/$name" "$@" $own
done
