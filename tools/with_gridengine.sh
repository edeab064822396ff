#!/usr/bin/env bash
# with_gridengine.sh COMMAND ARGUMENT...: run a command against a GridEngine of its own, for tests and trials.
#
# One node (this machine) with at least 4 slots, queues all.q and gpu.q, parallel environment smp, the resources
# ram_free and gpu that Kaldi's configurations ask for. Daemons and jobs live in namespaces of their own for processes
# and for the network (GridEngine listens on every address) and are gone when the command ends, whose exit status is
# given. Needs root and what install_gridengine.sh installs; exits with 77 without them.
set -euo pipefail

if [[ $# -eq 0 ]]; then
  sed -n '2s/^# //p' "$0" >&2
  exit 1
fi

if [[ -z ${WITH_GRIDENGINE_FOLDER:-} ]]; then
  for program in sge_qmaster sge_execd qsub ip; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || {
      echo "with_gridengine.sh: there is no $program; run tools/install_gridengine.sh" >&2
      exit 77
    }
  done
  [[ $(id -u) == 0 ]] || { echo "with_gridengine.sh: needs root, to start the daemons" >&2; exit 77; }
  WITH_GRIDENGINE_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/gridengine.XXXXXX")
  export WITH_GRIDENGINE_FOLDER
  trap 'rm -rf "$WITH_GRIDENGINE_FOLDER"' EXIT
  code=0
  unshare --fork --pid --mount-proc --net --kill-child "$0" "$@" || code=$?
  exit "$code"
fi

folder=$WITH_GRIDENGINE_FOLDER
unset WITH_GRIDENGINE_FOLDER
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
programs=/usr/lib/gridengine
common=$folder/root/default/common
host=$("$programs/gethostname" -name 2>/dev/null || hostname -s)
host=${host%%.*}
# The network is our own, so no other server can have taken these ports.
export SGE_ROOT=$folder/root SGE_CELL=default SGE_QMASTER_PORT=6444 SGE_EXECD_PORT=6445

give_up() {
  echo "with_gridengine.sh: $1; the ends of the logs:" >&2
  tail -n 5 "$folder"/log/* >&2 || true
  exit 1
}

wait_until() { # WHAT COMMAND...: within 20 seconds
  for _ in {1..200}; do
    "${@:2}" >/dev/null 2>&1 && return
    sleep 0.1
  done
  give_up "$1"
}

# What an installation would ask for and write, under a root of our own. Root may run jobs (min_uid 0); 127.0.0.1
# resolves to "localhost", which must count as this host.
write_cell() {
  local name reporting='accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00'
  mkdir -p "$common" "$folder"/{log,conf,spool/qmaster/job_scripts,spool/database,spool/execd}
  for name in util utilbin bin lib; do ln -s "/var/lib/gridengine/$name" "$SGE_ROOT/$name"; done
  echo "$host" >"$common/act_qmaster"
  echo "$host localhost" >"$common/host_aliases"
  cat >"$common/bootstrap" <<END
admin_user         none
default_domain     none
ignore_fqdn        true
spooling_method    berkeleydb
spooling_lib       libspoolb
spooling_params    $folder/spool/database
binary_path        /usr/sbin
qmaster_spool_dir  $folder/spool/qmaster
security_mode      none
listener_threads   2
worker_threads     2
scheduler_threads  1
END
  sed -e "s|^\(execd_spool_dir *\).*|\1$folder/spool/execd|" -e 's|^\(mailer *\).*|\1/bin/true|' \
    -e 's/^\(min_[ug]id *\).*/\10/' -e 's/^\(load_report_time *\).*/\100:00:02/' \
    -e "s/^\(reporting_params *\).*/\1$reporting joblog=false sharelog=00:00:00/" \
    /usr/share/gridengine/default-configuration >"$folder/conf/global"
  (
    cd "$SGE_ROOT"
    "$programs/spoolinit" berkeleydb libspoolb "$folder/spool/database" init
    "$programs/spooldefaults" configuration "$folder/conf/global"
    "$programs/spooldefaults" complexes /usr/share/gridengine/util/resources/centry
    "$programs/spooldefaults" usersets /usr/share/gridengine/util/resources/usersets
    "$programs/spooldefaults" managers root
  ) >"$folder/log/init" 2>&1 || give_up "the data base was not made"
}

# Change one of GridEngine's tables: qconf OPTION FILE.
configure() {
  qconf "$1" "$folder/conf/$2" >>"$folder/log/qconf" 2>&1 || give_up "qconf $1 $2 failed"
}

write_queue() { # NAME: every limit is open, every hook unused
  local name
  cat <<END
qname $1
hostlist @allhosts
seq_no 0
priority 0
nsuspend 1
processors UNDEFINED
qtype BATCH INTERACTIVE
pe_list smp
rerun FALSE
slots $(($(nproc) > 4 ? $(nproc) : 4))
tmpdir /tmp
shell /bin/bash
shell_start_mode unix_behavior
initial_state default
min_cpu_interval 00:05:00
suspend_interval 00:05:00
notify 00:00:60
END
  for name in load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method suspend_method resume_method \
    terminate_method owner_list user_lists xuser_lists subordinate_list complex_values projects xprojects calendar; do
    echo "$name NONE"
  done
  for name in rt cpu fsize data stack core rss vmem; do printf '%s INFINITY\n' "s_$name" "h_$name"; done
}

configure_cluster() {
  local memory name
  memory=$(awk '/^MemTotal:/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  cd "$folder/conf"
  qconf -as "$host" >>"$folder/log/qconf" 2>&1
  qconf -sc | grep -v '^#' >complexes
  printf '%s\n' "gpu gpu INT <= YES YES 0 0" "ram_free ram_free MEMORY <= YES YES 0 0" >>complexes
  configure -Mc complexes
  printf '%s NONE\n' load_scaling user_lists xuser_lists projects xprojects usage_scaling report_variables >host
  printf 'hostname %s\ncomplex_values gpu=2,ram_free=%sM\n' "$host" "$memory" >>host
  configure -Ae host
  printf 'group_name @allhosts\nhostlist %s\n' "$host" >hosts
  configure -Ahgrp hosts
  printf '%s NONE\n' user_lists xuser_lists start_proc_args stop_proc_args qsort_args >environment
  # shellcheck disable=SC2016 # $pe_slots is GridEngine's word
  printf '%s\n' 'pe_name smp' 'slots 9999' 'allocation_rule $pe_slots' 'control_slaves FALSE' 'job_is_first_task TRUE' \
    'urgency_slots min' 'accounting_summary FALSE' >>environment
  configure -Ap environment
  for name in all.q gpu.q; do
    write_queue "$name" >queue
    configure -Aq queue
  done
  # Schedule within a second of a change, not every 15; tell in qstat -j why a job waits.
  qconf -ssconf | sed -e 's/^\(schedule_interval *\).*/\10:0:1/' -e 's/^\(flush_[a-z]*_sec *\).*/\11/' \
    -e 's/^\(schedd_job_info *\).*/\1true/' -e 's/^\(job_load_adjustments *\).*/\1NONE/' \
    -e 's/^\(load_adjustment_decay_time *\).*/\10:0:0/' >scheduler
  configure -Msconf scheduler
  cd "$OLDPWD"
}

# shellcheck disable=SC2329 # called by wait_until
node_is_up() { qstat -f | grep -E "^all\.q@.* [0-9.]+ +lx-[a-z0-9]+ *$"; }

write_cell
SGE_ND=1 sge_qmaster >"$folder/log/qmaster" 2>&1 &
wait_until "sge_qmaster did not start" timeout 5 qconf -sh
configure_cluster
SGE_ND=1 sge_execd >"$folder/log/execd" 2>&1 &
wait_until "sge_execd did not start" node_is_up
code=0
"$@" || code=$?
timeout 10 qdel -u root >/dev/null 2>&1 || true
exit "$code"
