"""Asks a cloud with KServe's own clients and answers what came of it, a line of JSON: {check: null or error}.

argv: the address of a cloud with a model that gives back `x` as `y` for each type, over gRPC and over HTTP.
"""

import asyncio
import json
import sys
import traceback

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

GRPC, HTTP = sys.argv[1].split("://")[1], sys.argv[2]
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
    "string": ("BYTES", np.array([[b"low", "tide ~ 潮".encode()]], np.object_)),
}
checks = {}


def check(function):
    checks[function.__name__.replace("_", " ")] = function
    return function


def request_of(model, tensor, datatype, binary):
    given = InferInput("x", list(tensor.shape), datatype)
    given.set_data_from_numpy(tensor, binary_data=binary)
    parameters = {"binary_data_output": True} if binary else None
    return InferRequest(model, [given], "17", parameters=parameters, request_outputs=[RequestedOutput("y")])


async def every_type(ask, binary):
    for dtype, (datatype, tensor) in VALUES.items():
        # Its form in values has no field for them.
        if datatype == "FP16" and not binary:
            continue
        try:
            answer = await ask(request_of(f"same-{dtype}", tensor, datatype, binary))
            # Its REST client does not read the version.
            assert answer.id == "17" and answer.model_version in (None, "1"), answer
            got = answer.get_output_by_name("y").as_numpy()
            if datatype == "BYTES":
                got = np.vectorize(lambda v: v.encode() if isinstance(v, str) else v, otypes=[object])(got)
                assert (got.reshape(tensor.shape) == tensor).all(), got
            else:
                assert got.dtype == tensor.dtype and got.tobytes() == tensor.tobytes(), f"{got} is not {tensor}"
        except Exception as error:
            raise AssertionError(f"{dtype}: {error!r}") from error


@check
async def its_gRPC_client_with_raw_contents():
    async with InferenceGRPCClient(GRPC) as client:
        await every_type(client.infer, True)


@check
async def its_gRPC_client_value_by_value():
    async with InferenceGRPCClient(GRPC) as client:
        await every_type(client.infer, False)


@check
async def the_health_that_its_gRPC_client_asks_for():
    async with InferenceGRPCClient(GRPC) as client:
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("same-int8")


@check
async def what_its_gRPC_client_is_refused():
    async with InferenceGRPCClient(GRPC) as client:
        try:
            await client.infer(request_of("none", VALUES["int8"][1], "INT8", True))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
            assert ("tideway-code", "MODEL_NOT_FOUND") in [tuple(item) for item in error.trailing_metadata()]
        else:
            raise AssertionError("it was taken")


@check
async def its_REST_client_in_binary():
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        await every_type(lambda request: client.infer(HTTP, request, model_name=request.model_name), True)


@check
async def its_REST_client_in_JSON():
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        await every_type(lambda request: client.infer(HTTP, request, model_name=request.model_name), False)


@check
async def the_health_that_its_REST_client_asks_for():
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(HTTP) and await client.is_server_ready(HTTP)
        assert await client.is_model_ready(HTTP, "same-int8") and not await client.is_model_ready(HTTP, "none")


@check
async def what_its_REST_client_is_refused():
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        try:
            await client.infer(HTTP, request_of("none", VALUES["int8"][1], "INT8", True), model_name="none")
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == 404 and error.response.json()["code"] == "MODEL_NOT_FOUND", error
        else:
            raise AssertionError("it was taken")


results = {}
for name, function in checks.items():
    try:
        asyncio.run(function())
        results[name] = None
    except Exception:
        results[name] = traceback.format_exc()
print(json.dumps(results))
