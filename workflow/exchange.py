"""What the exchange of a training step takes, without the training.

    PROGRAM=workflow/exchange.py PIN=1 workflow/launch_hosts.sh localhost localhost -- SIZE...

Each process has arrays of SIZE float32 values, and all add them up by all-reduce, as the gradients
of a step. Printed are milliseconds, medians of nine: first the arrays as they are, then as many
values in one array.
"""

import os
import sys
import time

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

NAMES = ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
ROUNDS = 9


def measure(sizes: list[int]) -> float:
    """Return the milliseconds of an all-reduce of arrays, each of so many values."""
    mesh = Mesh(jax.devices(), ("process",))
    shards, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (["process"], []))
    add_up = jax.jit(lambda given: [each.sum(0) for each in given], out_shardings=everywhere)
    place = jax.make_array_from_process_local_data
    given = [place(shards, np.ones((1, size), np.float32)) for size in sizes]
    jax.block_until_ready(add_up(given))  # compiles
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        sums = jax.block_until_ready(add_up(given))
        seconds.append(time.perf_counter() - start)
    if any(np.any(np.asarray(each) != jax.process_count()) for each in sums):
        sys.exit("the sums are wrong")
    return 1000 * float(np.median(seconds))


if __name__ == "__main__":
    address, count, number = (os.environ[f"KERAS_DISTRIBUTION_{name}"] for name in NAMES)
    jax.distributed.initialize(address, int(count), int(number))
    asked = [int(size) for size in sys.argv[1:]]
    found = [measure(sizes) for sizes in (asked, [sum(asked)])]
    if number == "0":
        print("\n", *found)
