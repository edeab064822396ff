#!/usr/bin/env bash
# Stage 6: error rates in Kaldi's and sclite's files, RESULTS.md and a page to look at.
#   steps/score.sh [--unit char] [--language zh] [--ref text] [--results RESULTS.md] data exp/x [exp/y ...]
# Scores every exp/x/decode_<set>* against data/<set>/text.
set -euo pipefail
unit=word
language=none
ref=text             # the references in data/<set>/
results=RESULTS.md
page=true
help_message=$(sed -n '2,3s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -lt 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1
shift

for exp in "$@"; do
  for out in "$exp"/decode_*/; do
    out=${out%/}
    set=$(basename "$out")
    set=${set#decode_}
    while [ ! -d "$data/$set" ] && [ "$set" != "${set%_*}" ]; do set=${set%_*}; done
    glm=()
    [ ! -f "$data/$set/glm_plain" ] || glm=(--glm "$data/$set/glm_plain")
    speechlm score ${glm[@]+"${glm[@]}"} --ref "$data/$set/$ref" --hyp "$out/text" --utt2spk "$data/$set/utt2spk" \
      --out "$out" --unit "$unit" --language "$language" > "$out/score.log"
  done
  if [ "$page" = true ]; then speechlm report "$exp" --data "$data"; fi
done
[ -z "$results" ] || speechlm results --out "$results" "$@"
echo
rate=wer
[ "$unit" = word ] || rate=cer
for exp in "$@"; do
  for best in "$exp"/decode_*/scoring_kaldi/"best_$rate"; do cat "$best"; done
done
[ "$page" != true ] || for exp in "$@"; do echo "report: $exp/report.html"; done
