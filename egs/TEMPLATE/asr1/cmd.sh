# shellcheck shell=bash
# Where jobs run. On this machine: run.pl. On a cluster: ./run.sh --cmd "slurm.pl --config conf/slurm.conf" (or queue.pl).
# shellcheck disable=SC2034 # run.sh reads them
train_cmd="${cmd:-run.pl}"
decode_cmd="${cmd:-run.pl}"
cuda_cmd="${cmd:-run.pl}"
