"""Writes descriptors.bin, what the server tells of its services over gRPC: the descriptors of OTLP's
metrics and logs, of gRPC's health and of reflection itself.

usage: descriptors.py FILE

Needs opentelemetry-proto, grpcio-health-checking and grpcio-reflection, as `make test-clients` has
them installed for the tests of clients.
"""

import sys

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

files = {}


def add(file, name=None):
    if file.name in files:
        return
    for dependency in file.dependencies:
        add(dependency)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    proto.ClearField("source_code_info")
    # Python's packages have them below other paths.
    proto.name = name or file.name
    files[file.name] = proto


add(metrics_service_pb2.DESCRIPTOR)
add(logs_service_pb2.DESCRIPTOR)
add(health_pb2.DESCRIPTOR, "grpc/health/v1/health.proto")
add(reflection_pb2.DESCRIPTOR, "grpc/reflection/v1alpha/reflection.proto")
alpha = files[reflection_pb2.DESCRIPTOR.name].SerializeToString()
# Version 1 is the same in another package; names of another length, so each is put in by its field.
stable = FileDescriptorProto.FromString(alpha)
stable.name = stable.name.replace("v1alpha", "v1")
stable.package = stable.package.replace("v1alpha", "v1")
stable.ClearField("options")
for message in stable.message_type:
    for field in message.field:
        if field.HasField("type_name"):
            field.type_name = field.type_name.replace("v1alpha", "v1")
for service in stable.service:
    for method in service.method:
        method.input_type = method.input_type.replace("v1alpha", "v1")
        method.output_type = method.output_type.replace("v1alpha", "v1")
files["v1"] = stable
with open(sys.argv[1], "wb") as out:
    out.write(FileDescriptorSet(file=files.values()).SerializeToString(deterministic=True))
