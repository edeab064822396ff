# shellcheck shell=bash
# Sourced by run.sh: the project's root, its environment, and one OpenMP thread for every process of a job array.
MAIN_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
export MAIN_ROOT
if [ -d "$MAIN_ROOT/.venv/bin" ]; then
  export PATH="$MAIN_ROOT/.venv/bin:$PATH"
fi
export PATH="$PWD/utils:$PWD/steps:$PATH"
export PYTHONPATH="$MAIN_ROOT${PYTHONPATH:+:$PYTHONPATH}"
export LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
