#!/usr/bin/env bash
# Examine data directories: file, line and rule of every fault; exit status 1 if there is one.
# Usage: validate_data_dir.sh [options] DATA...
#   --no-text     text need not be there (Kaldi's spellings with two hyphens; so the next ones)
#   --no-wav      wav.scp need not be there
#   --no-feats    feats.scp need not be there: this is the default here
#   --need-feats  feats.scp must be there
#   --no-spk-sort speakers need not be sorted as their utterances: here that is a warning only
# and the options of `speechlm validate_data`: --allow_pipes, --allow_empty_text, --check_audio false, --per_rule N.
# Kaldi's --non-print is refused: a control character in a table is always a fault.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
words=()
for word; do
  case $word in
    --no-text) words+=(--need_text false) ;;
    --no-wav) words+=(--need_wav false) ;;
    --no-feats | --no-spk-sort) ;;
    --need-feats) words+=(--need_feats true) ;;
    --non-print) fail "--non-print: a control character is always a fault here; fix_data_dir.sh drops such lines" ;;
    --help) usage ;;
    *) words+=("$word") ;;
  esac
done
[[ ${#words[@]} -gt 0 ]] || usage
speechlm validate_data "${words[@]}"
