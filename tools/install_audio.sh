#!/usr/bin/env bash
# Install sox, for speed perturbation in Kaldi's way, and ffmpeg, for audio that libsndfile cannot read.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
install_packages sox sox libsox-fmt-all
install_packages ffmpeg ffmpeg
