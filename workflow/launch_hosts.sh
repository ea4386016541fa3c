#!/usr/bin/env bash
# One training on several hosts, a process for each name:
#     launch_hosts.sh HOST... -- [arguments of train.py]
# localhost is this machine; others are reached by ssh, without a password, and see the project and
# its workspace under the same paths. Name a host as often as it has GPUs. With PIN=1 each process
# here gets one core. If one process ends badly the others are stopped. PROGRAM=FILE starts another.
#
# A pinned process is a batch job (chrt): otherwise its thread that waits for an exchange keeps the one
# core from its thread that does it. Measured on Linux 6.18: 4 ms for each array, with chrt 0.1 ms.
set -u
hosts=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do hosts+=("$1"); shift; done
if [ $# -eq 0 ] || [ ${#hosts[@]} -eq 0 ]; then sed -n '2,6s/^# //p' "$0" >&2; exit 2; fi
shift
home=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$home/.venv/bin/python}
program=$(realpath "${PROGRAM:-$home/workflow/train.py}") || exit 2
batch=(); chrt --batch 0 true 2>/dev/null && batch=(chrt --batch 0)
free='import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
port=${PORT:-$("$python" -c "$free")} || exit 1
address=${hosts[0]/#localhost/127.0.0.1}:$port
declare -A seen=()
pids=()
for number in "${!hosts[@]}"; do
    host=${hosts[$number]}
    gpu=${seen[$host]:-0}
    seen[$host]=$((gpu + 1))
    settings=(KERAS_DISTRIBUTION_JOB_ADDRESSES="$address" KERAS_DISTRIBUTION_NUM_PROCESSES=${#hosts[@]}
        KERAS_DISTRIBUTION_PROCESS_ID="$number" JAX_LOCAL_DEVICE_IDS="$gpu")
    for name in UNET_LOWERED_WORKSPACE JAX_COMPILATION_CACHE_DIR; do
        [ -z "${!name:-}" ] || settings+=("$name=${!name}")
    done
    if [ "$host" = localhost ]; then
        [ "${hosts[*]//localhost/}" = "${hosts[*]//[^ ]/}" ] && settings+=(JAX_COORDINATOR_BIND_ADDRESS="$address")
        pin=(); [ -z "${PIN:-}" ] || pin=(taskset -c "$gpu" "${batch[@]}")
        env "${settings[@]}" "${pin[@]}" "$python" "$program" "$@" &
    else
        ssh -tt "$host" "$(printf '%q ' env "${settings[@]}" "$python" "$program" "$@")" &
    fi
    pids+=($!)
done
trap 'kill "${pids[@]}" 2>/dev/null; wait; exit 130' INT TERM
code=0
for _ in "${pids[@]}"; do
    wait -n || { code=$?; break; }
done
if [ $code -ne 0 ]; then
    echo "launch_hosts.sh: a process ended with $code; the others are stopped" >&2
    sleep 2; kill "${pids[@]}" 2>/dev/null; sleep 1; kill -9 "${pids[@]}" 2>/dev/null; wait 2>/dev/null
fi
exit $code
