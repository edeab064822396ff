# shellcheck shell=bash
# What the installers share.

# install_packages PROGRAM PACKAGE...: with apt-get, unless PROGRAM is there. Daemons that come along are not started.
install_packages() {
  local program=$1 name=${0##*/} become=()
  shift
  if PATH=$PATH:/usr/sbin command -v "$program" >/dev/null; then
    echo "$name: $program is installed already"
    return
  fi
  command -v apt-get >/dev/null || {
    echo "$name: there is no apt-get; install by the means of your system what Debian calls: $*" >&2
    exit 1
  }
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || { echo "$name: needs root (or sudo) for apt-get install $*" >&2; exit 1; }
    become=(sudo)
  fi
  # 101 from policy-rc.d means "do not start"; one that is there already is left alone.
  local policy=/usr/sbin/policy-rc.d made=false
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | ${become[@]+"${become[@]}"} tee "$policy" >/dev/null
    ${become[@]+"${become[@]}"} chmod 755 "$policy"
    made=true
  fi
  local code=0
  {
    ${become[@]+"${become[@]}"} apt-get update &&
      ${become[@]+"${become[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
  } || code=$?
  [[ $made == false ]] || ${become[@]+"${become[@]}"} rm -f "$policy"
  [[ $code == 0 ]] || { echo "$name: apt-get failed (code $code)" >&2; exit "$code"; }
}
