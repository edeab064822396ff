#!/usr/bin/env bash
# Write DATA/utt2dur, the seconds of every utterance, from segments or from the headers of the audio.
# Usage: get_utt2dur.sh [--allow_pipes true] DATA...   (--allow_pipes runs the commands that stand in wav.scp)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
[[ $# -gt 0 && $1 != --help ]] || usage
speechlm utt2dur "$@"
