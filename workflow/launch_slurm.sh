#!/usr/bin/env bash
# One training on the machines of a SLURM cluster, a process for each task:
#     sbatch --nodes=2 --ntasks-per-node=8 --gpus-per-node=8 workflow/launch_slurm.sh [arguments of train.py]
# Submit it from the project's folder, which all nodes see. JAX reads from SLURM who takes part. If
# one process ends badly, srun stops the others; the same command again takes up the run. Why chrt:
# launch_hosts.sh.
batch=(); chrt --batch 0 true 2>/dev/null && batch=(chrt --batch 0)
exec srun --kill-on-bad-exit=1 "${batch[@]}" "${PYTHON:-.venv/bin/python}" workflow/train.py "$@"
