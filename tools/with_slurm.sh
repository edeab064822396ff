#!/usr/bin/env bash
# with_slurm.sh COMMAND ARGUMENT...: run a command against a Slurm of its own, for tests and for trying things out.
#
# One node (this machine, said to have at least 4 CPUs), partitions cpu (default) and gpu, 2 pretended GPUs, everything
# on 127.0.0.1 and in one temporary folder. Daemons and jobs live in a process namespace of their own and are gone when
# the command ends, whose exit status is given. Needs root and what install_slurm.sh installs; exits with 77 without.
set -euo pipefail

if [[ $# -eq 0 ]]; then
  sed -n '2s/^# //p' "$0" >&2
  exit 1
fi

if [[ -z ${WITH_SLURM_FOLDER:-} ]]; then
  for program in munged slurmctld slurmd sbatch; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || {
      echo "with_slurm.sh: there is no $program; run tools/install_slurm.sh" >&2
      exit 77
    }
  done
  [[ $(id -u) == 0 ]] || { echo "with_slurm.sh: needs root, to start the daemons" >&2; exit 77; }
  WITH_SLURM_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/slurm.XXXXXX")
  export WITH_SLURM_FOLDER
  trap 'rm -rf "$WITH_SLURM_FOLDER"' EXIT
  code=0
  # No network namespace: with a loopback device only, Slurm cannot resolve the name of its own host.
  unshare --fork --pid --mount-proc --kill-child "$0" "$@" || code=$?
  exit "$code"
fi

folder=$WITH_SLURM_FOLDER
unset WITH_SLURM_FOLDER
PATH=$PATH:/usr/sbin
mkdir -p "$folder"/{state,spool,log}
chmod 755 "$folder" # munge refuses a socket in a folder that others cannot enter
host=$(hostname -s)

two_free_ports() {
  python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))'
}

give_up() {
  echo "with_slurm.sh: $1; the ends of the logs:" >&2
  tail -n 5 "$folder"/log/* >&2 || true
  exit 1
}

start_munge() {
  (umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
  munged --foreground --force --num-threads=2 --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --seed-file="$folder/munge.seed" --log-file="$folder/log/munged" \
    >"$folder/log/munged.out" 2>&1 &
  for _ in {1..100}; do
    [[ -S $folder/munge.socket ]] && return
    sleep 0.05
  done
  give_up "munged did not start"
}

# No accounting, no cgroups, no process tracking by the kernel: what works in a container. cred_expire=5 lets a requeued
# job start after 6 seconds (default 2 minutes). Pretended GPUs must be device files, a mere count disables the node.
write_configuration() {
  local controller_port daemon_port memory cpus
  cpus=$(($(nproc) > 4 ? $(nproc) : 4))
  read -r controller_port daemon_port < <(two_free_ports)
  memory=$(awk '/^MemTotal:/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  printf 'Name=gpu File=%s\n' /dev/null /dev/zero >"$folder/gres.conf"
  cat >"$folder/slurm.conf" <<END
ClusterName=throwaway
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$daemon_port
CommunicationParameters=NoAddrCache,NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=3
MailProg=/bin/true
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES State=UP
PartitionName=gpu Nodes=$host State=UP
END
}

start_slurm() {
  export SLURM_CONF=$folder/slurm.conf
  slurmctld -D -c >"$folder/log/slurmctld.out" 2>&1 &
  slurmd -D -N "$host" >"$folder/log/slurmd.out" 2>&1 &
  for _ in {1..150}; do
    [[ $(timeout 5 sinfo --noheader --partition=cpu --format=%T 2>/dev/null) == idle ]] && return
    sleep 0.1
  done
  give_up "Slurm did not start"
}

write_configuration
start_munge
start_slurm
code=0
"$@" || code=$?
timeout 10 scancel --user=root || true
exit "$code"
