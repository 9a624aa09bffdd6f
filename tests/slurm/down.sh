#!/usr/bin/env bash
# Ends the jobs and the daemons that up.sh started. Usage: bash down.sh DIR
directory=$(realpath "$1")
export SLURM_CONF="$directory/slurm.conf"
# Jobs get SIGKILL at once: nothing of a test is worth saving.
scancel --signal=KILL --full --user="$(id -un)" 2> /dev/null
scancel --user="$(id -un)" 2> /dev/null
for _ in $(seq 40); do
    [ -z "$(squeue --noheader 2> /dev/null)" ] && break
    sleep 0.5
done
for file in "$directory"/slurmd-*.pid "$directory/slurmctld.pid" "$directory/munge/pid"; do
    [ -f "$file" ] && kill "$(cat "$file")"
done
exit 0
