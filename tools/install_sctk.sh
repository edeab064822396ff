#!/usr/bin/env bash
# Install NIST's scoring tools, for sclite's reports. PyPI's "sctk" is something else.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
sclite=/usr/lib/sctk/bin/sclite # not on the PATH
[[ -x $sclite ]] || install_packages sclite sctk
echo "install_sctk.sh: sclite is $sclite"
