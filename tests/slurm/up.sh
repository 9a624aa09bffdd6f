#!/usr/bin/env bash
# A real Slurm on this machine, for tests: slurmctld and two nodes, n1 and n2, without systemd, cgroups
# or accounting, run by whoever calls this, with every file below DIR.
# Needs slurmctld, slurmd and munged (Debian: apt-get install slurm-wlm munge).
# Usage: bash up.sh DIR; then source DIR/environment, and in the end bash down.sh DIR.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
mkdir -p "$1"
directory=$(realpath "$1")
host=$(hostname -s)
user=$(id -un)
mkdir -p "$directory"/{state,spool,munge,devices,bin}
chmod 755 "$directory" "$directory/munge"

# Four ports that nobody listens at: two clusters on one machine do not meet.
read -r controller daemon first second < <(python3 - <<'PYTHON'
import socket

servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(server.getsockname()[1] for server in servers))
PYTHON
)

# A graphics card is a character device to Slurm; what it is good for is not looked at.
for number in 0 1; do ln -sf /dev/null "$directory/devices/gpu$number"; done
echo "Name=gpu File=$directory/devices/gpu[0-1]" > "$directory/gres.conf"

cat > "$directory/slurm.conf" <<CONFIGURATION
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
# A job that was put back waits for cred_expire (default 120 s) before it starts again.
AuthType=auth/munge
AuthInfo=socket=$directory/munge/socket,cred_expire=10
CredType=cred/munge
SlurmctldPort=$controller
SlurmdPort=$daemon
StateSaveLocation=$directory/state
SlurmdSpoolDir=$directory/spool/%n
SlurmctldPidFile=$directory/slurmctld.pid
SlurmdPidFile=$directory/slurmd-%n.pid
SlurmctldLogFile=$directory/slurmctld.log
SlurmdLogFile=$directory/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
# Memory over what was asked for ends a job; without cgroups it is looked at so often.
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# More cores and memory than there are, as many as profiles/slurm asks for: jobs of a test do little.
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
# Jobs that ended stay known, or the executor takes them for lost.
MinJobAge=3600
SlurmctldTimeout=30
SlurmdTimeout=30
# From SIGTERM to SIGKILL. The default; what a stopped trainer has for its last step and checkpoint.
KillWait=30
InactiveLimit=0
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$first CPUs=32 RealMemory=512000 Gres=gpu:2 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$second CPUs=32 RealMemory=512000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n1,n2 MaxTime=INFINITE State=UP
CONFIGURATION

# SLURM_CONF says where all that is, and Snakemake's executor takes it from its jobs: put it back.
for client in sbatch scancel scontrol sinfo squeue srun; do
    printf '#!/bin/sh\nexport SLURM_CONF=%s\nexec %s "$@"\n' \
        "$directory/slurm.conf" "$(command -v "$client")" > "$directory/bin/$client"
    chmod 755 "$directory/bin/$client"
done
export SLURM_CONF="$directory/slurm.conf"
printf 'export SLURM_CONF=%s\nexport PATH=%s:$PATH\n' "$SLURM_CONF" "$directory/bin" \
    > "$directory/environment"

head -c 128 /dev/urandom > "$directory/munge/key"
chmod 600 "$directory/munge/key"
munged --force --key-file="$directory/munge/key" --socket="$directory/munge/socket" \
    --pid-file="$directory/munge/pid" --log-file="$directory/munge/log" \
    --seed-file="$directory/munge/seed"
slurmctld -c
for node in n1 n2; do slurmd -N "$node"; done
for _ in $(seq 120); do
    [ "$(sinfo --noheader --states=idle --format=%D --partition=cpu | head -1)" = 2 ] && exit 0
    sleep 0.5
done
sinfo
echo "The nodes did not come up within a minute; see the logs in $directory." >&2
exit 1
