#!/usr/bin/env bash
# Install Slurm for with_slurm.sh and test/cluster (Debian, Ubuntu). A real cluster has its own.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
install_packages slurmctld slurm-wlm slurm-client munge
