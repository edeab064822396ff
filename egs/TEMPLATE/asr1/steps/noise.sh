#!/usr/bin/env bash
# A table of noises (id path, relative to the table's own folder) with absolute paths; an empty one where none is given.
#   steps/noise.sh DIR/noise.scp|"" data/noise.scp
set -euo pipefail
if [ $# -ne 2 ]; then
  sed -n '2,3s/^# \{0,1\}//p' "$0" >&2
  exit 1
fi
mkdir -p "$(dirname "$2")"
if [ -z "$1" ]; then
  : > "$2"
  exit 0
fi
folder=$(cd "$(dirname "$1")" && pwd)
awk -v folder="$folder" '{ if ($2 !~ /^\//) $2 = folder "/" $2; print }' "$1" > "$2.new"
mv "$2.new" "$2"
echo "steps/noise.sh: $(wc -l < "$2") recordings in $2"
