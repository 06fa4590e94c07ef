"""Writes ONNX's own backend node tests (package `onnx`) for some operators.

Usage: export_nodes.py FOLDER OPERATOR... Writes FOLDER/<case>/model.onnx and input_<place>.pb for each case whose model
has a node of one of the operators, and prints one line of JSON for each: {"name", "operators", "opset", "inputs"}.
"""
import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

folder, wanted = Path(sys.argv[1]), set(sys.argv[2:])
for case in collect_testcases(None):
    operators = sorted({node.op_type for node in case.model.graph.node} & wanted)
    if not operators:
        continue
    home = folder / case.name
    home.mkdir()
    (home / "model.onnx").write_bytes(case.model.SerializeToString())
    inputs, _ = case.data_sets[0]
    told = {"name": case.name, "operators": operators, "opset": max(o.version for o in case.model.opset_import if o.domain == ""), "inputs": len(inputs)}
    for place, value in enumerate(inputs):
        if isinstance(value, onnx.TensorProto):
            tensor = value
        elif hasattr(value, "dtype"):
            tensor = numpy_helper.from_array(value)
        else:
            told["inputs"] = -1
            break
        (home / f"input_{place}.pb").write_bytes(tensor.SerializeToString())
    print(json.dumps(told), flush=True)
