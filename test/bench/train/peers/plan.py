"""What a peer trains: rows, the weights to start from and each epoch's order of rows, as the benchmark wrote them."""
import json
import sys
import time
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
variant = sys.argv[2]
plan = json.loads((folder / "plan.json").read_text())
network, batch, threads = plan["network"], plan["batch"], plan["threads"]
inputs = np.fromfile(folder / "inputs.f32", dtype=np.float32).reshape([plan["rows"], *plan["shape"]])
targets = np.fromfile(folder / "targets.i32", dtype=np.int32)
orders = np.fromfile(folder / "orders.u32", dtype=np.uint32).reshape([plan["epochs"], plan["rows"]]).astype(np.int64)
_values = np.fromfile(folder / "weights.f32", dtype=np.float32)

weights = {}
_at = 0
for spec in plan["weights"]:
    count = int(np.prod(spec["shape"]))
    weights[spec["name"]] = _values[_at : _at + count].reshape(spec["shape"]).copy()
    _at += count


def train(step, describe):
    """Runs `step(rows, targets) -> loss` over the epochs; the first, in which engines set up, is not timed."""
    final = 0.0
    seconds = []
    for order in orders:
        began = time.perf_counter()
        total = 0.0
        for begin in range(0, len(order), batch):
            rows = order[begin : begin + batch]
            total += step(inputs[rows], targets[rows]) * len(rows)
        seconds.append(time.perf_counter() - began)
        final = total / len(order)
    timed = seconds[1:]
    print(
        json.dumps(
            {
                "samplesPerSecond": plan["rows"] * len(timed) / sum(timed),
                "best": plan["rows"] / min(timed),
                "finalLoss": final,
                **describe,
            }
        )
    )
