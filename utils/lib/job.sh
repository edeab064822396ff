#!/usr/bin/env bash
# Run one job of run.pl, slurm.pl or queue.pl: job.sh LOG THREADS STATUS_DIR JOB WHERE <COMMAND
#
# The log gets a header, what the command prints, and a last line "# Ended (code N) at DATE, elapsed time N seconds".
# THREADS: for OMP_NUM_THREADS, - leaves it alone. STATUS_DIR: JOB.start (seconds since 1970) and, when all is written,
# JOB.end (the exit code) appear there; - for none. WHERE: here (run.pl), slurm or gridengine.
# Signals reach the whole process group, of which this script must be the leader; a command that gets SIGUSR1 before
# its time is up can save its work and exit with 99: on a cluster it is then run again, and its log goes on.
_job_log=$1 _job_threads=$2 _job_status=$3 _job_name=$4 _job_where=$5
_job_command=$(cat)
set --

_job_forward() {
  _job_interrupted=true
  trap '' "$1"
  kill -s "$1" 0
  # shellcheck disable=SC2064 # the name of the signal is known now
  trap "_job_forward $1" "$1"
}

_job_header() {
  printf '# %s\n' "${_job_command//$'\n'/$'\n# '}"
  printf '# Running on %s\n# Started at %s\n#\n' "$HOSTNAME" "$(LC_ALL=C date)"
}

_job_footer() { # CODE
  [[ -z $(tail -c 1 "$_job_log") ]] || echo
  printf '# Accounting: time=%d threads=%s\n' "$SECONDS" "${_job_threads/#-/1}"
  printf '# Ended (code %d) at %s, elapsed time %d seconds\n' "$1" "$(LC_ALL=C date)" "$SECONDS"
}

_job_tell() { # NAME TEXT
  [[ $_job_status == - ]] && return
  printf '%s\n' "$2" >"$_job_status/.$1" && mv "$_job_status/.$1" "$_job_status/$1"
}

for _job_signal in TERM USR1 USR2; do
  # shellcheck disable=SC2064
  trap "_job_forward $_job_signal" "$_job_signal"
done
SECONDS=0
if [[ $_job_where != here ]] && grep -q '^# To be run again' "$_job_log" 2>/dev/null; then
  printf '# Started again at %s on %s\n' "$(LC_ALL=C date)" "$HOSTNAME" >>"$_job_log"
else
  _job_header >"$_job_log"
fi || exit 1
_job_tell "$_job_name.start" "$(date +%s)"

# A list "a; b" must not go on with b when a was told to stop; a signal that asks to save is for the programs only.
(
  trap '_job_code=$?; exit $((_job_code ? _job_code : 143))' TERM
  trap : USR1 USR2
  if [[ $_job_where != here && -f ./path.sh ]]; then
    # shellcheck source=/dev/null
    . ./path.sh || exit
  fi
  [[ $_job_threads == - ]] || export OMP_NUM_THREADS=$_job_threads
  set -o pipefail
  eval "$_job_command"
) </dev/null >>"$_job_log" 2>&1 &
while :; do
  _job_interrupted=false
  wait $!
  _job_code=$?
  [[ $_job_interrupted == true ]] || break
done

# Run again: Slurm must be told, GridEngine does it for code 99. Not for ever, in case the command always ends so.
if [[ $_job_code == 99 && $_job_where != here && $(grep -c '^# To be run again' "$_job_log") -lt 100 ]]; then
  printf '# To be run again (code 99) at %s, elapsed time %d seconds\n' "$(LC_ALL=C date)" "$SECONDS" >>"$_job_log"
  [[ $_job_where == slurm ]] || exit 99
  trap '' TERM
  scontrol requeue "$SLURM_JOB_ID" >>"$_job_log" 2>&1 && exit 99
fi
_job_footer "$_job_code" >>"$_job_log" || _job_code=1
_job_tell "$_job_name.end" "$_job_code"
# To GridEngine 99 means "run again" and 100 "keep in the queue for ever".
[[ $_job_where != gridengine || $_job_code == 0 ]] || _job_code=1
exit "$_job_code"
