#!/usr/bin/env bash
# Install GridEngine for with_gridengine.sh and test/cluster (Debian, Ubuntu). A real cluster has its own.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
install_packages sge_qmaster gridengine-master gridengine-exec gridengine-client gridengine-common iproute2
