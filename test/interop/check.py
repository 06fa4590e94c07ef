"""Checks ONNX files with the format's own checker and runs them with ONNX Runtime's Python package.

Reads lines of JSON from standard input: {"model": path, "inputs": {name: [[...]]}}; answers each with
{"outputs": {name: [[...]]}} or {"error": text}.
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime

for line in sys.stdin:
    order = json.loads(line)
    try:
        onnx.checker.check_model(onnx.load(order["model"]), full_check=True)
        session = onnxruntime.InferenceSession(order["model"], providers=["CPUExecutionProvider"])
        inputs = {name: np.array(rows, dtype=np.float32) for name, rows in order["inputs"].items()}
        names = [output.name for output in session.get_outputs()]
        outputs = session.run(names, inputs)
        print(json.dumps({"outputs": {name: value.tolist() for name, value in zip(names, outputs)}}), flush=True)
    except Exception as error:  # The answer is the report; the process goes on to the next order.
        print(json.dumps({"error": str(error)}), flush=True)
