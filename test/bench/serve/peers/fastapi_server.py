"""FastAPI on onnxruntime at its best: raw bodies, orjson, numpy, uvloop and httptools, no pydantic models.

MODEL_FILE, THREADS (of ONNX Runtime inside one operator) in the environment. JSON is the Open Inference Protocol's; the
binary route takes raw float32 and gives raw float32, with no JSON at all.
"""

import os
import struct

import numpy as np
import onnxruntime as ort
import orjson
from fastapi import FastAPI, Request, Response

options = ort.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("THREADS", "1"))
session = ort.InferenceSession(os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
output = session.get_outputs()[0].name
row = [size for size in session.get_inputs()[0].shape[1:]]
app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


async def infer_json(request: Request) -> Response:
    body = orjson.loads(await request.body())
    tensor = body["inputs"][0]
    data = tensor["data"]
    # A third of the time that np.array takes for a list.
    x = np.frombuffer(struct.pack(f"{len(data)}f", *data), dtype=np.float32).reshape(tensor["shape"])
    y = session.run([output], {name: x})[0]
    answer = {
        "model_name": "dense",
        "outputs": [{"name": output, "datatype": "FP32", "shape": list(y.shape), "data": y.ravel()}],
    }
    return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


async def infer_binary(request: Request) -> Response:
    x = np.frombuffer(await request.body(), dtype=np.float32).reshape(-1, *row)
    return Response(session.run([output], {name: x})[0].tobytes(), media_type="application/octet-stream")


# Without FastAPI's resolving of dependencies, of which there are none.
app.add_route("/json", infer_json, methods=["POST"])
app.add_route("/binary", infer_binary, methods=["POST"])
