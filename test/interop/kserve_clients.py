"""Asks a cloud with KServe's own clients and answers what came of it, a line of JSON: {check: null or error}.

argv: the address of a cloud with a model that gives back `x` as `y` for each type, over gRPC and over HTTP.
"""

import sys

import grpc
import httpx
import numpy as np
from checks import VALUES, check, report, same
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

GRPC, HTTP = sys.argv[1].split("://")[1], sys.argv[2]
# Its client takes bytes alone.
GIVEN = {**VALUES, "string": ("BYTES", np.array([[b"low", "tide ~ 潮".encode()]], np.object_))}


def request_of(model, tensor, datatype, binary):
    given = InferInput("x", list(tensor.shape), datatype)
    given.set_data_from_numpy(tensor, binary_data=binary)
    parameters = {"binary_data_output": True} if binary else None
    return InferRequest(model, [given], "17", parameters=parameters, request_outputs=[RequestedOutput("y")])


async def every_type(ask, binary):
    for dtype, (datatype, tensor) in GIVEN.items():
        # Its form in values has no field for them.
        if datatype == "FP16" and not binary:
            continue
        try:
            answer = await ask(request_of(f"same-{dtype}", tensor, datatype, binary))
            # Its REST client does not read the version.
            assert answer.id == "17" and answer.model_version in (None, "1"), answer
            same(answer.get_output_by_name("y").as_numpy(), tensor)
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


report()
