"""Emits a few log records with the OpenTelemetry SDK and exports them.

usage: record_logs.py http|grpc ENDPOINT [FILE]

With FILE each of its lines is a record, in their order.
"""

import itertools
import sys
import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

protocol, endpoint = sys.argv[1:3]
if protocol == "http":
    from opentelemetry.exporter.otlp.proto.http._log_exporter import Compression, OTLPLogExporter

    options = {"compression": Compression.Gzip}
else:
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

    options = {"insecure": True, "compression": Compression.Gzip}

provider = LoggerProvider(
    resource=Resource.create({"service.name": "shop", "service.namespace": protocol})
)
provider.add_log_record_processor(
    BatchLogRecordProcessor(OTLPLogExporter(endpoint=endpoint, **options))
)
log = provider.get_logger("test", "1.0")
start = time.time_ns()
if len(sys.argv) > 3:
    with open(sys.argv[3], encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")
    records = [(SeverityNumber.INFO, line, {}) for line in lines]
else:
    records = [
        (SeverityNumber.INFO, "started", {}),
        (SeverityNumber.WARN, "slow", {"took.ms": 1500, "http": {"status.code": 200}}),
        (SeverityNumber.ERROR, {"why": "disk is full", "free": 0}, {}),
    ]
for at, (level, body, attributes) in zip(itertools.count(start), records):
    # The queue of the processor drops what it has no room for.
    if (at - start) % 1000 == 999 and not provider.force_flush():
        sys.exit("the export failed")
    record = LogRecord(
        timestamp=at,
        severity_number=level,
        severity_text=level.name,
        body=body,
        attributes=attributes,
    )
    log.emit(record)
if not provider.force_flush():
    sys.exit("the export failed")
provider.shutdown()
