"""Asks two servers with Triton's own gRPC client and answers what came of it, a line of JSON: {check: null or error}.

argv: the address of a cloud with a model that gives back `x` as `y` for each type, that cloud over HTTP, the address of a
server with a model `echo` that gives back what it gets and waits for a second where an input is named `slow`.
"""

import asyncio
import queue
import sys

import grpc
import ml_dtypes
import numpy as np
import tritonclient.grpc as client
import tritonclient.grpc.aio as aio
import tritonclient.http as http
from checks import VALUES, check, report, same
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.grpc.model_config_pb2 import DataType
from tritonclient.utils import InferenceServerException

REAL, HTTP, ECHO = (address.split("://")[1] for address in sys.argv[1:4])
real, echo = client.InferenceServerClient(REAL), client.InferenceServerClient(ECHO)
stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(REAL))

INF, NAN = float("inf"), float("nan")
# The field of each type where values go one by one; FP16 has none.
CONTENTS = {
    "float32": "fp32_contents",
    "float64": "fp64_contents",
    "int8": "int_contents",
    "uint8": "uint_contents",
    "int16": "int_contents",
    "uint16": "uint_contents",
    "int32": "int_contents",
    "uint32": "uint_contents",
    "int64": "int64_contents",
    "uint64": "uint64_contents",
    "bool": "bool_contents",
    "string": "bytes_contents",
}


def given(name, tensor, datatype):
    return client.InferInput(name, tensor.shape, datatype).set_data_from_numpy(tensor)


def roundtrip(server, model, tensor, datatype, names=("x", "y"), **more):
    wanted = client.InferRequestedOutput(names[1])
    answer = server.infer(model, [given(names[0], tensor, datatype)], outputs=[wanted], request_id="17", **more)
    assert answer.get_response().id == "17"
    same(answer.as_numpy(names[1]), tensor)


def refused(call, status, text):
    try:
        call()
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{status}" and text in error.message(), error
    else:
        raise AssertionError("it was taken")


@check
def types_in_raw_contents():
    for dtype, (datatype, tensor) in VALUES.items():
        try:
            roundtrip(real, f"same-{dtype}", tensor, datatype)
        except Exception as error:
            raise AssertionError(f"{dtype}: {error}") from error


@check
def types_value_by_value():
    for dtype, field in CONTENTS.items():
        datatype, tensor = VALUES[dtype]
        values = [value.encode() if isinstance(value, str) else value for value in tensor.flatten().tolist()]
        contents = service_pb2.InferTensorContents(**{field: values})
        inputs = [
            service_pb2.ModelInferRequest.InferInputTensor(
                name="x", datatype=datatype, shape=tensor.shape, contents=contents
            )
        ]
        answer = stub.ModelInfer(service_pb2.ModelInferRequest(model_name=f"same-{dtype}", inputs=inputs))
        same(client.InferResult(answer).as_numpy("y"), tensor)


@check
def BF16():
    tensor = np.array([1.0, -2.5, 3.39e38, NAN, INF], ml_dtypes.bfloat16)
    roundtrip(echo, "echo", tensor, "BF16", ("bf", "bf"))


@check
def NaN_and_infinities():
    roundtrip(real, "same-float32", np.array([[NAN, INF], [-INF, 0]], np.float32), "FP32")


@check
def no_rows_and_many():
    for rows in (0, 1, 200_000):
        roundtrip(real, "same-float32", np.arange(2 * rows, dtype=np.float32).reshape(rows, 2), "FP32")


@check
def outputs_by_name_in_their_order():
    inputs = [given(name, np.array([i, 1], np.int8), "INT8") for i, name in enumerate("ab")]
    wanted = [client.InferRequestedOutput(name) for name in "ba"]
    answer = echo.infer("echo", inputs, outputs=wanted, model_version="1")
    response = answer.get_response()
    assert [output.name for output in response.outputs] == ["b", "a"] and response.model_version == "1"
    assert answer.as_numpy("a").tolist() == [0, 1] and answer.as_numpy("b").tolist() == [1, 1]


@check
def compressed_requests():
    tensor = np.arange(2000, dtype=np.float32).reshape(1000, 2)
    for algorithm in ("gzip", "deflate"):
        roundtrip(real, "same-float32", tensor, "FP32", compression_algorithm=algorithm)


@check
def many_at_once():
    tensor = np.array([[1, 2]], np.float32)
    answers = queue.Queue()
    for _ in range(50):
        real.async_infer(
            "same-float32", [given("x", tensor, "FP32")], callback=lambda result, error: answers.put((result, error))
        )
    for _ in range(50):
        result, error = answers.get(timeout=30)
        assert error is None, error
        same(result.as_numpy("y"), tensor)


@check
def its_client_on_asyncio():
    async def ask():
        async with aio.InferenceServerClient(REAL) as server:
            tensor = np.array([[1, 2]], np.int64)
            inputs = [aio.InferInput("x", tensor.shape, "INT64").set_data_from_numpy(tensor)]
            same((await server.infer("same-int64", inputs)).as_numpy("y"), tensor)

            async def requests():
                for i in range(20):
                    yield {"model_name": "same-int64", "inputs": inputs, "request_id": str(i)}

            ids = []
            async for result, error in server.stream_infer(requests()):
                assert error is None, error
                ids.append(result.get_response().id)
            assert ids == [str(i) for i in range(20)], ids

    asyncio.run(ask())


@check
def a_stream():
    answers = queue.Queue()
    with client.InferenceServerClient(ECHO) as server:
        server.start_stream(callback=lambda result, error: answers.put((result, error)))
        for i in range(30):
            # The first takes longest, and the one in the middle asks for a model that is not there.
            name = "slow" if i == 0 else "a"
            model = "none" if i == 15 else "echo"
            inputs = [given(name, np.array([i], np.int8), "INT8")]
            server.async_stream_infer(model, inputs, request_id=str(i), enable_empty_final_response=True)
        for i in range(30):
            result, error = answers.get(timeout=30)
            if i == 15:
                assert "none is not registered" in str(error), error
                continue
            assert error is None, error
            response = result.get_response()
            assert response.id == str(i) and response.parameters["triton_final_response"].bool_param, response
            assert result.as_numpy("slow" if i == 0 else "a").tolist() == [i]
        server.stop_stream()


@check
def health_and_metadata():
    assert real.is_server_live() and real.is_server_ready()
    assert real.is_model_ready("same-float32") and real.is_model_ready("same-float32", "1")
    refused(lambda: real.is_model_ready("none"), "NOT_FOUND", "not registered")
    assert {"model_repository", "statistics"} <= set(real.get_server_metadata().extensions)
    for dtype, (datatype, _) in VALUES.items():
        metadata = real.get_model_metadata(f"same-{dtype}", "1", as_json=True)
        assert metadata["inputs"] == [{"name": "x", "datatype": datatype, "shape": ["-1", "2"]}], metadata
        assert metadata["versions"] == ["1"], metadata


@check
def the_model_repository():
    model, (datatype, tensor) = "same-int8", VALUES["int8"]
    states = lambda: {entry.name: entry.state for entry in real.get_model_repository_index().models}
    real.load_model(model)
    assert states()[model] == "READY"
    real.unload_model(model)
    assert states()[model] == "UNAVAILABLE" and not real.is_model_ready(model)
    refused(lambda: roundtrip(real, model, tensor, datatype), "UNAVAILABLE", "unloaded")
    real.load_model(model)
    roundtrip(real, model, tensor, datatype)
    refused(lambda: real.load_model(model, config="{}"), "INVALID_ARGUMENT", "parameters.config: is not known here")


@check
def statistics_that_are_those_of_HTTP():
    model, tensor = "same-uint8", np.zeros((4, 2), np.uint8)
    web = http.InferenceServerClient(HTTP)
    count = lambda: real.get_inference_statistics(model, "1").model_stats[0]
    before = count()
    for _ in range(3):
        roundtrip(real, model, tensor, "UINT8")
    web.infer(model, [http.InferInput("x", tensor.shape, "UINT8").set_data_from_numpy(tensor)])
    after = count()
    assert after.inference_count - before.inference_count == 16
    assert after.execution_count - before.execution_count == 4
    for stage in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        then, now = getattr(before.inference_stats, stage), getattr(after.inference_stats, stage)
        assert now.count - then.count == 4 and now.ns > then.ns, stage
    assert any(batch.batch_size == 4 for batch in after.batch_stats)
    assert any(entry.name == model for entry in real.get_inference_statistics().model_stats)
    over_http = web.get_inference_statistics(model, "1")["model_stats"][0]
    over_grpc = real.get_inference_statistics(model, "1", as_json=True)["model_stats"][0]
    assert str(over_http["inference_stats"]["success"]["ns"]) == over_grpc["inference_stats"]["success"]["ns"]


@check
def configuration():
    config = real.get_model_config("same-float32").config
    metadata = real.get_model_metadata("same-float32")
    assert (config.name, config.platform, config.backend) == ("same-float32", metadata.platform, "onnxruntime")
    assert config.version_policy.HasField("all") and "model_configuration" in real.get_server_metadata().extensions
    # As Triton has it: with batches, the first dimension of all is left out.
    leading = [-1] if config.max_batch_size > 0 else []
    assert config.HasField("dynamic_batching") == (config.max_batch_size > 0)
    for tensors, told in ((config.input, metadata.inputs), (config.output, metadata.outputs)):
        names = [(tensor.name, DataType.Name(tensor.data_type), leading + list(tensor.dims)) for tensor in tensors]
        assert names == [(tensor.name, f"TYPE_{tensor.datatype}", list(tensor.shape)) for tensor in told], names


@check
def a_deadline():
    inputs = [given("slow", np.zeros(1, np.int8), "INT8")]
    refused(lambda: echo.infer("echo", inputs, client_timeout=0.1), "DEADLINE_EXCEEDED", "")
    assert echo.infer("echo", inputs, client_timeout=30).as_numpy("slow").tolist() == [0]


@check
def what_is_refused():
    inputs = [given("x", np.zeros((1, 2), np.float32), "FP32")]
    refused(lambda: real.infer("none", inputs), "NOT_FOUND", "not registered")
    refused(lambda: real.infer("same-int8", inputs), "INVALID_ARGUMENT", "type is float32")
    refused(lambda: real.infer("same-float32", inputs, model_version="7"), "NOT_FOUND", "no version or alias 7")
    refused(lambda: real.get_model_config("none"), "NOT_FOUND", "not registered")
    refused(lambda: real.get_system_shared_memory_status(), "UNIMPLEMENTED", "")


report()
