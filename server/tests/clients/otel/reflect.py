"""Asks a server about its services, by gRPC's own client of reflection, and checks its health.

usage: reflect.py HOST:PORT
"""

import sys

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

services = {
    "opentelemetry.proto.collector.metrics.v1.MetricsService": metrics_service_pb2,
    "opentelemetry.proto.collector.logs.v1.LogsService": logs_service_pb2,
}
with grpc.insecure_channel(sys.argv[1]) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    listed = set(database.get_services())
    missing = set(services) - listed
    if missing:
        sys.exit(f"not listed: {missing}")
    pool = DescriptorPool(database)
    for name, module in services.items():
        told = pool.FindServiceByName(name)
        pending, seen = [(told.file, module.DESCRIPTOR)], set()
        while pending:
            ours, theirs = pending.pop()
            if theirs.name in seen:
                continue
            seen.add(theirs.name)
            a, b = FileDescriptorProto(), FileDescriptorProto()
            ours.CopyToProto(a)
            theirs.CopyToProto(b)
            if a != b:
                sys.exit(f"{theirs.name} differs")
            pending += zip(ours.dependencies, theirs.dependencies)
    for name in listed:
        pool.FindServiceByName(name)
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ["", *services]:
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            sys.exit(f"{name!r} is {answer.status}")
    try:
        stub.Check(health_pb2.HealthCheckRequest(service="no.Such"))
        sys.exit("an unknown service is healthy")
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
