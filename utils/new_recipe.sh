#!/usr/bin/env bash
# Begin a recipe egs/NAME/asr1: run.sh and conf/ of another recipe to edit, links to the steps that all recipes share.
# Usage: new_recipe.sh [--from RECIPE] NAME   (RECIPE: speechocean if not given; NAME: lower-case letters, digits, _ and -)
set -euo pipefail
from=speechocean
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
# shellcheck source-path=SCRIPTDIR source=parse_options.sh
. "$_utils/parse_options.sh"
[[ $# == 1 ]] || usage
name=$1
[[ $name =~ ^[a-z][a-z0-9_-]*$ ]] || fail "'$name': a recipe's name is made of lower-case letters, digits, _ and -"
source=$_root/egs/$from/asr1
[[ $from =~ ^[A-Za-z0-9_-]+$ && -f $source/run.sh ]] || fail "--from $from: there is no egs/$from/asr1/run.sh"
[[ ! -e $_root/egs/$name ]] || fail "egs/$name exists already"

begin_dir "$_root/egs/$name"
new=$_new/asr1
mkdir "$new"
for link in path.sh cmd.sh steps; do ln -s "../../TEMPLATE/asr1/$link" "$new/$link"; done
ln -s ../../../utils "$new/utils"
cp -pL "$source/run.sh" "$new/"
cp -rpL "$source/conf" "$new/"
[[ ! -d $source/local ]] || cp -rpL "$source/local" "$new/"
sed -i "s/\\b$from\\b/$name/g" "$new/run.sh"
finish_dir "$_root/egs/$name"
cat <<END
egs/$name/asr1 is there, made from egs/$from/asr1. What to do next:
  1. the corpus: speechlm/corpora/$name.py for stage 0, or put Kaldi data directories into egs/$name/asr1/data
     and begin with --stage 1
  2. egs/$name/asr1/run.sh: the leading comment, the options, the language
  3. egs/$name/asr1/conf/*.yaml: the models
END
