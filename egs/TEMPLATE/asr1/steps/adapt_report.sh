#!/usr/bin/env bash
# Stage 6 of an adaptation: scores, and the table of what was won on the target and lost on the source domain. It is an error if
# one of the two is missing.
#   steps/adapt_report.sh --unit char --language ja --source "test" --target "target_test" data exp/before exp/after
set -euo pipefail
unit=word
language=none
source=              # sets of the domain that the model was trained on
target=              # sets of the domain that it was adapted to
results=RESULTS.md
help_message=$(sed -n '2,4s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 1
fi

steps/score.sh --unit "$unit" --language "$language" --results "$results" --page false "$1" "$2" "$3"
# shellcheck disable=SC2086 # names of sets are words
speechlm forgetting --before "$2" --after "$3" --source $source --target $target --out "$results"
