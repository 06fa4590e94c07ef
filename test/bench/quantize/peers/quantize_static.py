"""Quantizes a model with ONNX Runtime's own quantize_static in each way that a plan names; prints one JSON line."""
import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

logging.disable(logging.WARNING)
folder = Path(sys.argv[1])
plan = json.loads((folder / "plan.json").read_text())
rows = np.fromfile(folder / "rows.f32", dtype=np.float32).reshape(plan["shape"])


class Rows(CalibrationDataReader):
    """One row at a time, as its documentation does it."""

    def __init__(self):
        self.left = iter(rows)

    def get_next(self):
        row = next(self.left, None)
        return None if row is None else {plan["input"]: row[np.newaxis]}


# Its documentation asks for this first: it folds batch normalization and infers shapes.
prepared = folder / "prepared.onnx"
quant_pre_process(str(folder / "model.onnx"), str(prepared))
made = []
for at, way in enumerate(plan["ways"]):
    path = folder / f"peer-{at}.onnx"
    begin = time.perf_counter()
    quantize_static(
        str(prepared),
        str(path),
        Rows(),
        quant_format=QuantFormat[way["format"]],
        calibrate_method=CalibrationMethod[way["method"]],
        per_channel=True,
        reduce_range=way["reduceRange"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    made.append({"path": str(path), "seconds": time.perf_counter() - begin, "way": way})
print(json.dumps({"version": onnxruntime.__version__, "made": made}))
