"""Lets one rank, or all, fail in one of several ways, while the others wait for it.

    fails.py HOW [RANK]
"""

import os
import signal
import sys
import time

import tinycnn
from tinycnn import distributed, nn

how, failing = sys.argv[1], int(sys.argv[2])
if how == "twice":
    distributed.init_process_group()
distributed.init_process_group(**{"world size": {"world_size": 0}, "size": {"world_size": 7},
                                  "backend": {"backend": "smoke signals"}}.get(how, {"timeout": 3}))  # fmt: skip
distributed.barrier()
print("begun", flush=True)

if how == "different models":
    nn.parallel.DistributedDataParallel(nn.Linear(3, 4 if distributed.get_rank() == failing else 5))
if how == "drifted":
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    nn.parallel.DistributedDataParallel(net)
    if distributed.get_rank() == failing:
        net[1].bias.data[1] += 1e-6
    distributed.check_parameters(net)
if distributed.get_rank() == failing:
    match how:
        case "raise":
            raise ValueError("there is\nnothing to eat")
        case "exit":
            sys.exit(3)
        case "exit with words":
            sys.exit("no more")
        case "return":
            sys.exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(100)
        case "other call":
            distributed.broadcast(tinycnn.zeros(3))
        case "other internal call":
            group = distributed.group.current("")
            with group.failures.watching("the average of parameters"):
                group.mpi.world.recv(tag=7)
        case "destroy":
            distributed.destroy_process_group()
            time.sleep(100)
        case "os._exit":
            os._exit(0)
        case "exit 256":
            sys.exit(256)
    sys.exit("nothing has failed")
distributed.all_reduce(tinycnn.zeros(3))
time.sleep(100)
