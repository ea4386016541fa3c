#!/bin/sh
# A SLURM cluster of this one machine, for tests: slurm_here.sh start FOLDER | stop FOLDER
#
# As root. Everything that it writes, keys and logs and queue, lies in FOLDER, and all of it listens
# on 127.0.0.1 alone. Commands find the cluster by SLURM_CONF=FOLDER/slurm.conf, and inside of jobs,
# where Snakemake takes that away, by FOLDER/bin in front of PATH. Of Debian it needs the packages
# slurm-wlm and munge. The node says that it has four cores, whatever the machine has.
set -eu
todo=${1:?start or stop}
folder=${2:?a folder}
name=$(hostname -s)

ended() { # a daemon is told to end, and waited for
    [ -s "$folder/$1.pid" ] || return 0
    pid=$(cat "$folder/$1.pid")
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.2
    done
    kill -9 "$pid"
}

stop() {
    for daemon in slurmctld slurmd munged; do ended "$daemon"; done
}

start() {
    for needed in slurmctld slurmd munged sinfo; do
        command -v "$needed" >/dev/null || { echo "there is no $needed here" >&2; exit 3; }
    done
    mkdir -p "$folder/state" "$folder/spool" "$folder/munge" "$folder/bin"
    chmod 711 "$folder" "$folder/munge" # munged wants no more for others than to reach its socket
    head -c 256 /dev/urandom >"$folder/munge.key"
    chmod 400 "$folder/munge.key"
    cat >"$folder/slurm.conf" <<CONF
ClusterName=here
SlurmctldHost=$name(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=16817
SlurmdPort=16818
SrunPortRange=16900-17300
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2
KillWait=2
MinJobAge=3600
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$name NodeAddr=127.0.0.1 CPUs=4 RealMemory=300000 State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF="$folder/slurm.conf"
    printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(command -v srun)" \
        >"$folder/bin/srun"
    chmod +x "$folder/bin/srun"
    munged --force --socket="$folder/munge/socket" --key-file="$folder/munge.key" \
        --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
        --seed-file="$folder/munged.seed"
    slurmctld
    slurmd
    for _ in $(seq 60); do
        case "$(sinfo -h -o %T 2>/dev/null)" in idle | mixed) sinfo && exit 0 ;; esac
        sleep 0.5
    done
    echo "SLURM does not come up; the logs in $folder say why" >&2
    stop
    exit 1
}

"$todo"
