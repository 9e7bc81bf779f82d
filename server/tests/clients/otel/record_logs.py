"""Emits a few log records with the OpenTelemetry SDK and exports them.

usage: record_logs.py http|grpc ENDPOINT
"""

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
for level, body, attributes in [
    (SeverityNumber.INFO, "started", {}),
    (SeverityNumber.WARN, "slow", {"took.ms": 1500, "http": {"status.code": 200}}),
    (SeverityNumber.ERROR, {"why": "disk is full", "free": 0}, {}),
]:
    record = LogRecord(
        timestamp=time.time_ns(),
        severity_number=level,
        severity_text=level.name,
        body=body,
        attributes=attributes,
    )
    log.emit(record)
if not provider.force_flush():
    sys.exit("the export failed")
provider.shutdown()
