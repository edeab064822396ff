# shellcheck shell=bash
# The stages of a run.sh, one line each:
#
#   stage=0; stop_stage=6
#   . utils/parse_options.sh
#   . utils/stages.sh
#   stage 1 "fbank and CMVN -> data/train/feats.scp" steps/features.sh --cmd "$cmd" data/train
#
# The line runs its command if stage <= 1 <= stop_stage. What follows "->" in the title are the files (or globs) that
# the stage leaves behind: it has failed if one of them is missing afterwards. A failure, also Ctrl-C, ends the script
# with the log that tells why and the command to go on with. A stage of several commands is a function of run.sh, under
# set -e too: never write `stage ... ||` or `&&`, bash then ignores set -e inside.

_stages_now=      # "N title" of the stage that is running
_stages_number=
_stages_ran=0
_stages_began=$SECONDS
FAILED_LOGS_TO=$(mktemp "${TMPDIR:-/tmp}/stages.XXXXXX")
export FAILED_LOGS_TO # run.pl, slurm.pl and queue.pl write here which logs tell of a failure

_stages_time() {
  if (($1 >= 3600)); then printf '%d:%02d:%02d h' $(($1 / 3600)) $(($1 / 60 % 60)) $(($1 % 60))
  elif (($1 >= 60)); then printf '%d:%02d min' $(($1 / 60)) $(($1 % 60))
  else printf '%d s' "$1"; fi
}

# The command that goes on at stage $1 with all other options of the user.
# shellcheck disable=SC2154 # _options_given is set by parse_options.sh
_stages_resume() {
  local word skip=false
  printf '%q --stage %s' "$0" "$1"
  for word in ${_options_given[@]+"${_options_given[@]}"}; do
    if [[ $skip == true ]]; then skip=false
    elif [[ $word == --stage ]]; then skip=true
    elif [[ $word != --stage=* ]]; then printf ' %q' "$word"; fi
  done
}

# Runs at every end of the script.
_stages_exit() {
  local code=$1 log
  trap - EXIT INT
  if [[ -n $_stages_now ]]; then
    {
      if [[ $code == 130 ]]; then printf '\n%s: stopped by Ctrl-C in stage %s\n' "${0##*/}" "$_stages_now"
      elif [[ $code == 0 ]]; then printf '\n%s: ended by a signal or an exit in stage %s\n' "${0##*/}" "$_stages_now"
      else printf '\n%s: FAILED (code %s): stage %s\n' "${0##*/}" "$code" "$_stages_now"; fi
      while IFS= read -r log; do printf '  log:      %s\n' "$log"; done <"$FAILED_LOGS_TO"
      printf '  go on by: %s\n' "$(_stages_resume "$_stages_number")"
    } >&2
    # A stage that did not come to its end must not look like a success.
    [[ $code != 0 ]] || code=1
  elif [[ $code == 0 && $_stages_ran == 0 ]]; then
    printf '%s: no stage from %s to %s, nothing was done\n' "${0##*/}" "${stage:-0}" "${stop_stage:-the last}" >&2
    code=1
  elif [[ $code == 0 ]]; then
    printf '\n%s: done in %s\n' "${0##*/}" "$(_stages_time $((SECONDS - _stages_began)))"
  fi
  rm -f "$FAILED_LOGS_TO"
  exit "$code"
}
trap '_stages_exit $?' EXIT
trap 'exit 130' INT

_stages_check_number() {
  [[ $2 =~ ^-?(0|[1-9][0-9]*)$ ]] && return
  printf '%s: %s must be a whole number, not %q\n' "${0##*/}" "$1" "$2" >&2
  exit 1
}
_stages_check_number --stage "${stage:-0}"
_stages_check_number --stop_stage "${stop_stage:-0}"

# stage N "what it does -> what it leaves" COMMAND ARGUMENT...
stage() {
  local title=$2 leaves='' began=$SECONDS file
  _stages_check_number "the number of stage '$title'" "$1"
  if (($# < 3)); then
    printf "%s: stage %s '%s' has no command\n" "${0##*/}" "$1" "$title" >&2
    exit 1
  fi
  if (($1 < ${stage:-0} || $1 > ${stop_stage:-$1})); then return 0; fi
  if [[ $title == *' -> '* ]]; then
    leaves=${title#*' -> '}
    title=${title%%' -> '*}
  fi
  _stages_number=$1
  _stages_now="$1: $title"
  printf '\nstage %s: %s  [%s]\n' "$1" "$title" "$(date +%T)"
  "${@:3}"
  local code=$? # reached with a failure only without set -e
  [[ $code == 0 ]] || exit "$code"
  set -f
  for file in $leaves; do
    set +f
    if ! compgen -G "$file" >/dev/null; then
      printf '%s: the command of stage %s ended well, but there is no %s\n' "${0##*/}" "$1" "$file" >&2
      exit 1
    fi
  done
  set +f
  printf 'stage %s: done in %s%s\n' "$1" "$(_stages_time $((SECONDS - began)))" "${leaves:+, see $leaves}"
  _stages_ran=$((_stages_ran + 1))
  _stages_now=
}
