"""What the scripts that ask with other people's clients share: values of every type, and checks that each may fail alone."""

import asyncio
import inspect
import json
import traceback

import numpy as np

VALUES = {
    "float32": ("FP32", np.array([[1.5, -(2.0**100)]], np.float32)),
    "float64": ("FP64", np.array([[np.pi, -1e300]], np.float64)),
    "float16": ("FP16", np.array([[1.5, -65504]], np.float16)),
    "int8": ("INT8", np.array([[-128, 127]], np.int8)),
    "uint8": ("UINT8", np.array([[0, 255]], np.uint8)),
    "int16": ("INT16", np.array([[-(2**15), 2**15 - 1]], np.int16)),
    "uint16": ("UINT16", np.array([[0, 2**16 - 1]], np.uint16)),
    "int32": ("INT32", np.array([[-(2**31), 2**31 - 1]], np.int32)),
    "uint32": ("UINT32", np.array([[0, 2**32 - 1]], np.uint32)),
    "int64": ("INT64", np.array([[-(2**63), 2**63 - 1]], np.int64)),
    "uint64": ("UINT64", np.array([[2**53 + 1, 2**64 - 1]], np.uint64)),
    "bool": ("BOOL", np.array([[True, False]], np.bool_)),
    "string": ("BYTES", np.array([["", "tide ~ 潮"]], np.object_)),
}
_checks = {}


def check(function):
    """A check goes by its name, with spaces."""
    _checks[function.__name__.replace("_", " ")] = function
    return function


def same(got, given):
    if given.dtype == np.object_:
        text = np.vectorize(lambda value: value.decode() if isinstance(value, bytes) else value, otypes=[object])
        assert (text(got).reshape(given.shape) == text(given)).all(), f"{got} is not {given}"
    else:
        assert got.dtype == given.dtype and got.shape == given.shape, f"{got.dtype} {got.shape}"
        assert got.tobytes() == given.tobytes(), f"{got} is not {given}"


def report():
    """Runs all checks and prints a line of JSON: {check: null or error}."""
    results = {}
    for name, function in _checks.items():
        try:
            asyncio.run(function()) if inspect.iscoroutinefunction(function) else function()
            results[name] = None
        except Exception:
            results[name] = traceback.format_exc()
    print(json.dumps(results))
