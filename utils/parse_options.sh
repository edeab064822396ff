# shellcheck shell=bash
# Read --name value and --name=value into variables that the sourcing script has already set.
#
#   nj=4; skip=false            # the options and their defaults
#   . utils/parse_options.sh    # leaves the positional arguments in "$@"
#
# --help prints $help_message, or the script's leading comment. --config FILE (unless the script has a variable `config`
# of its own) reads lines name=value; the command line wins over the file. Values are never evaluated by the shell.
# The arguments as given stay in the array _options_given, for stages.sh.

_options_fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# Variables of the script that can be options: set, not of the environment, lower case.
_options_names() {
  comm -23 <(compgen -v | LC_ALL=C sort) <(compgen -e | LC_ALL=C sort) | grep '^[a-z]' | grep -vx help_message || true
}

# The known name with the fewest edits to $1, if few enough to be a slip of the pen.
_options_nearest() {
  _options_names | perl -e '
    use List::Util qw(min);
    my ($best, $least, $word) = ("", 4, shift);
    while (my $name = <STDIN>) {
      chomp $name;
      my @row = (0 .. length $name);
      for my $i (1 .. length $word) {
        my @next = ($i);
        for my $j (1 .. length $name) {
          my $same = substr($word, $i - 1, 1) eq substr($name, $j - 1, 1);
          push @next, min($row[$j] + 1, $next[-1] + 1, $row[$j - 1] + ($same ? 0 : 1));
        }
        @row = @next;
      }
      ($best, $least) = ($name, $row[-1]) if $row[-1] < $least && $row[-1] < length $word;
    }
    print $best;' -- "$1"
}

# Set variable $1 to $2; $3 is how the user spelt it and where ("--stage", "conf/x.conf:3: stage").
_options_set() {
  local _po_name=${1//-/_}
  if [[ ! $_po_name =~ ^[a-z][A-Za-z0-9_]*$ || $_po_name == help_message || -z ${!_po_name+set} ]]; then
    local _po_near
    _po_near=$(_options_nearest "$_po_name")
    _options_fail "$3: no such option${_po_near:+; did you mean --$_po_near?} (${0##*/} --help lists them)"
  fi
  if [[ ${!_po_name} == true || ${!_po_name} == false ]] && [[ $2 != true && $2 != false ]]; then
    _options_fail "$3: must be true or false, not '$2'"
  fi
  printf -v "$_po_name" '%s' "$2"
}

# The value in the text $1 of a config file at $2, without quotes and comment, into _options_value.
_options_unquote() {
  local _po_rest=
  case $1 in
    \'*\'*) _options_value=${1#\'}; _po_rest=${_options_value#*\'}; _options_value=${_options_value%%\'*} ;;
    \"*\"*) _options_value=${1#\"}; _po_rest=${_options_value#*\"}; _options_value=${_options_value%%\"*} ;;
    [\'\"]*) _options_fail "$2: the quote is not closed: $1" ;;
    *) [[ $1 =~ ^(([^#]|[^[:space:]]#)*) ]] && _options_value=${BASH_REMATCH[1]} ;;
  esac
  [[ $_po_rest =~ ^[[:space:]]*(#.*)?$ ]] || _options_fail "$2: text after the closing quote: $_po_rest"
  _options_value=${_options_value%"${_options_value##*[![:space:]]}"}
  if [[ $1 != \'* && $_options_value == *[\$\`]* ]]; then
    _options_fail "$2: values are not evaluated; write it out, or put it in single quotes if the \$ or \` is meant"
  fi
}

_options_read_config() {
  [[ -r $1 ]] || _options_fail "--config $1: cannot read this file"
  local _po_line _po_number=0
  while IFS= read -r _po_line || [[ -n $_po_line ]]; do
    _po_number=$((_po_number + 1))
    _po_line=${_po_line%$'\r'}
    _po_line=${_po_line#"${_po_line%%[![:space:]]*}"}
    [[ -z $_po_line || $_po_line == \#* ]] && continue
    [[ $_po_line =~ ^(--)?([A-Za-z][A-Za-z0-9_-]*)[[:space:]]*=[[:space:]]*(.*)$ ]] ||
      _options_fail "$1:$_po_number: not of the form name=value: $_po_line"
    local _po_key=${BASH_REMATCH[2]} _options_value=
    _options_unquote "${BASH_REMATCH[3]}" "$1:$_po_number"
    _options_set "$_po_key" "$_options_value" "$1:$_po_number: $_po_key"
  done <"$1"
}

_options_help() {
  if [[ -n ${help_message:-} ]]; then
    printf '%s\n' "$help_message"
  else
    sed -n -e '1{/^#!/d;}' -e '/^#/!q' -e '/^# shellcheck /d' -e 's/^# \{0,1\}//p' "$0"
  fi
  exit 0
}

# Walk over the arguments; pass 1 only looks for --help and --config, so that the command line wins over the file.
_options_walk() {
  local _po_pass=$1 _po_total=$#
  shift
  while [[ $# -gt 0 && $1 == --* ]]; do
    local _po_word=$1 _po_value
    shift
    [[ $_po_word == -- ]] && break
    [[ $_po_word == --help ]] && _options_help
    if [[ $_po_word == *=* ]]; then
      _po_value=${_po_word#*=}
    else
      [[ $# -gt 0 ]] || _options_fail "$_po_word: its value is missing"
      # A negative number and "-" are values; so is a quoted "--beam 4", which no option looks like.
      [[ $1 =~ ^--([A-Za-z][A-Za-z0-9_-]*(=.*)?)?$ ]] &&
        _options_fail "$_po_word: its value is missing, $1 is the next option (write $_po_word=$1 if it is meant)"
      _po_value=$1
      shift
    fi
    _po_word=${_po_word%%=*}
    if [[ $_po_word == --config && -z ${config+set} ]]; then
      [[ $_po_pass == 1 ]] && _options_read_config "$_po_value"
    elif [[ $_po_pass == 2 ]]; then
      _options_set "${_po_word#--}" "$_po_value" "$_po_word"
    fi
  done
  _options_count=$((_po_total - 1 - $#))
}

_options_given=("$@")
_options_walk 1 "$@"
_options_walk 2 "$@"
shift "$_options_count"
unset _options_count
