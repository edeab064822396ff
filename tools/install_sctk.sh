#!/usr/bin/env bash
# Install NIST's scoring tools, for sclite's reports. PyPI's "sctk" is something else.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
[[ ! -x /usr/lib/sctk/bin/sclite ]] || { echo "install_sctk.sh: /usr/lib/sctk/bin/sclite is installed already"; exit 0; }
install_packages sclite sctk
echo "install_sctk.sh: sclite is /usr/lib/sctk/bin/sclite"
