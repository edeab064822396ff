#!/usr/bin/env bash
# Mend data directories: sort, cut down to what all tables have, make spk2utt again; tells what was dropped and why.
# Usage: fix_data_dir.sh [--allow_empty_text true] DATA...   (the old files go to DATA/.backup)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
[[ $# -gt 0 && $1 != --help ]] || usage
speechlm fix_data "$@"
