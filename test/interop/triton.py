"""Asks two servers with Triton's own HTTP client and answers what came of it, a line of JSON: {check: null or error}.

argv: the address of a cloud with a model that gives back `x` as `y` for each type, the address of one with a model `echo`
that gives back what it gets.
"""

import asyncio
import json
import sys
import urllib.request

import ml_dtypes
import numpy as np
import tritonclient.http as client
import tritonclient.http.aio as aio
from checks import VALUES, check, report, same
from tritonclient.utils import InferenceServerException

REAL, ECHO = (address.removeprefix("http://") for address in sys.argv[1:3])
real, echo = client.InferenceServerClient(REAL, concurrency=4), client.InferenceServerClient(ECHO)

INF, NAN = float("inf"), float("nan")


def roundtrip(server, model, tensor, datatype, binary_in, binary_out, names=("x", "y")):
    given = client.InferInput(names[0], tensor.shape, datatype).set_data_from_numpy(tensor, binary_data=binary_in)
    wanted = client.InferRequestedOutput(names[1], binary_data=binary_out)
    answer = server.infer(model, [given], outputs=[wanted], request_id="17")
    assert answer.get_response()["id"] == "17"
    assert ("data" in answer.get_output(names[1])) == (not binary_out)
    same(answer.as_numpy(names[1]), tensor)


def every_type(binary_in, binary_out):
    for dtype, (datatype, tensor) in VALUES.items():
        try:
            roundtrip(real, f"same-{dtype}", tensor, datatype, binary_in, binary_out)
        except Exception as error:
            raise AssertionError(f"{dtype}: {error}") from error


def plain(url, body, headers):
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as response:
        return response.read(), response.headers


@check
def types_in_binary_both_ways():
    every_type(True, True)


@check
def types_in_JSON_both_ways():
    every_type(False, False)


@check
def types_in_binary_answered_in_JSON():
    every_type(True, False)


@check
def types_in_JSON_answered_in_binary():
    every_type(False, True)


@check
def BF16_in_binary():
    tensor = np.array([1.0, -2.5, 3.39e38, NAN, INF], ml_dtypes.bfloat16)
    for binary_out in (True, False):
        roundtrip(echo, "echo", tensor, "BF16", True, binary_out, ("bf", "bf"))


@check
def rounding_of_16_bit_floats():
    values = np.random.default_rng(7).standard_normal(2000) * np.exp2(np.random.default_rng(8).integers(-20, 14, 2000))
    values = values.astype(np.float32).astype(np.float64)
    for name, datatype, dtype in (("h", "FP16", np.float16), ("bf", "BF16", ml_dtypes.bfloat16)):
        tensor = {"name": name, "datatype": datatype, "shape": [2000], "data": values.tolist()}
        body = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        got, headers = plain(f"http://{ECHO}/v2/models/echo/infer", body, {"Content-Type": "application/json"})
        bits = got[int(headers["Inference-Header-Content-Length"]) :]
        # Through float32, which these values are already, so that it is rounded once here, too.
        assert bits == values.astype(np.float32).astype(dtype).tobytes(), datatype


@check
def NaN_and_infinities():
    tensor = np.array([[NAN, INF], [-INF, 0]], np.float32)
    for binary_in in (True, False):
        for binary_out in (True, False):
            roundtrip(real, "same-float32", tensor, "FP32", binary_in, binary_out)


@check
def no_rows_and_many():
    for rows in (0, 1, 10_000):
        tensor = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
        roundtrip(real, "same-float32", tensor, "FP32", True, True)
        roundtrip(real, "same-float32", tensor, "FP32", False, False)


@check
def outputs_by_name_each_in_its_form():
    inputs = [client.InferInput(name, [2], "INT8").set_data_from_numpy(np.array([i, 1], np.int8)) for i, name in enumerate("ab")]
    wanted = [client.InferRequestedOutput("b", binary_data=False), client.InferRequestedOutput("a", binary_data=True)]
    answer = echo.infer("echo", inputs, outputs=wanted, model_version="1")
    response = answer.get_response()
    assert [output["name"] for output in response["outputs"]] == ["b", "a"]
    assert ["data" in output for output in response["outputs"]] == [True, False]
    assert response["model_version"] == "1"
    assert answer.as_numpy("a").tolist() == [0, 1] and answer.as_numpy("b").tolist() == [1, 1]


@check
def a_raw_body():
    tensor = np.array([[1, 2], [3, 4]], np.float32)
    url, headers = f"http://{REAL}/v2/models/same-float32/infer", {"Inference-Header-Content-Length": "0"}
    body, headers = plain(url, tensor.tobytes(), headers)
    length = int(headers["Inference-Header-Content-Length"])
    same(client.InferenceServerClient.parse_response_body(body, header_length=length).as_numpy("y"), tensor)


@check
def compressed_requests():
    tensor = np.arange(2000, dtype=np.float32).reshape(1000, 2)
    given = client.InferInput("x", tensor.shape, "FP32").set_data_from_numpy(tensor)
    for algorithm in ("gzip", "deflate"):
        options = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
        same(real.infer("same-float32", [given], **options).as_numpy("y"), tensor)


@check
def many_at_once():
    tensor = np.array([[1, 2]], np.float32)
    given = client.InferInput("x", tensor.shape, "FP32").set_data_from_numpy(tensor)
    for pending in [real.async_infer("same-float32", [given]) for _ in range(50)]:
        same(pending.get_result().as_numpy("y"), tensor)


@check
def its_client_on_asyncio():
    async def ask():
        async with aio.InferenceServerClient(REAL) as server:
            tensor = np.array([[1, 2]], np.int64)
            given = aio.InferInput("x", tensor.shape, "INT64").set_data_from_numpy(tensor)
            same((await server.infer("same-int64", [given])).as_numpy("y"), tensor)

    asyncio.run(ask())


@check
def health_and_metadata():
    assert real.is_server_live() and real.is_server_ready()
    assert real.is_model_ready("same-float32") and real.is_model_ready("same-float32", "1")
    assert not real.is_model_ready("none") and not real.is_model_ready("same-float32", "2")
    extensions = real.get_server_metadata()["extensions"]
    assert {"binary_tensor_data", "model_configuration", "model_repository", "statistics"} <= set(extensions), extensions
    for dtype, (datatype, _) in VALUES.items():
        metadata = real.get_model_metadata(f"same-{dtype}", "1")
        assert metadata["inputs"] == [{"name": "x", "datatype": datatype, "shape": [-1, 2]}], metadata
        assert metadata["versions"] == ["1"], metadata


@check
def configuration():
    config = real.get_model_config("same-float32", "1")
    assert (config["name"], config["backend"], config["version_policy"]) == ("same-float32", "onnxruntime", {"all": {}})
    leading = [-1] if config["max_batch_size"] > 0 else []
    assert ("dynamic_batching" in config) == (config["max_batch_size"] > 0)
    [x] = config["input"]
    assert (x["name"], x["data_type"], leading + x["dims"]) == ("x", "TYPE_FP32", [-1, 2]), config


@check
def the_model_repository():
    model, tensor = "same-int8", VALUES["int8"][1]
    states = lambda: {entry["name"]: entry["state"] for entry in real.get_model_repository_index()}
    real.load_model(model)
    assert states()[model] == "READY"
    real.unload_model(model)
    assert states()[model] == "UNAVAILABLE" and not real.is_model_ready(model)
    try:
        roundtrip(real, model, tensor, "INT8", True, True)
        raise AssertionError("an unloaded model ran")
    except InferenceServerException as error:
        assert "unloaded" in error.message(), error
    real.load_model(model)
    roundtrip(real, model, tensor, "INT8", True, True)
    for parameters in ({"config": "{}"}, {"files": {"file:1/model.onnx": b"x"}, "config": "{}"}):
        try:
            real.load_model(model, **parameters)
            raise AssertionError("a configuration was taken")
        except InferenceServerException as error:
            assert error.status() == "400", error


@check
def statistics():
    model, tensor = "same-uint8", np.zeros((4, 2), np.uint8)
    count = lambda: real.get_inference_statistics(model, "1")["model_stats"][0]
    before = count()
    for _ in range(3):
        roundtrip(real, model, tensor, "UINT8", True, True)
    after = count()
    assert after["inference_count"] - before["inference_count"] == 12
    assert after["execution_count"] - before["execution_count"] == 3
    for stage in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        then, now = before["inference_stats"][stage], after["inference_stats"][stage]
        assert now["count"] - then["count"] == 3 and now["ns"] > then["ns"], stage
    assert any(batch["batch_size"] == 4 for batch in after["batch_stats"])
    assert any(entry["name"] == model for entry in real.get_inference_statistics()["model_stats"])


@check
def what_is_refused():
    given = client.InferInput("x", [1, 2], "FP32").set_data_from_numpy(np.zeros((1, 2), np.float32))
    for model, message in (("none", "not registered"), ("same-int8", "type is float32")):
        try:
            real.infer(model, [given])
            raise AssertionError("it was taken")
        except InferenceServerException as error:
            assert message in error.message(), error


report()
