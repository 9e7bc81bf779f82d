"""Records a few metrics with the OpenTelemetry SDK and exports them three times.

usage: record.py http|grpc ENDPOINT cumulative|delta
"""

import sys
import time

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

protocol, endpoint, temporality = sys.argv[1:4]
if protocol == "http":
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import Compression, OTLPMetricExporter

    options = {"compression": Compression.Gzip}
else:
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    options = {"insecure": True, "compression": Compression.Gzip}

if temporality == "delta":
    chosen = AggregationTemporality.DELTA
else:
    chosen = AggregationTemporality.CUMULATIVE
instruments = (Counter, Histogram, ObservableCounter, ObservableGauge, UpDownCounter, ObservableUpDownCounter)
exporter = OTLPMetricExporter(
    endpoint=endpoint, preferred_temporality={kind: chosen for kind in instruments}, **options
)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
provider = MeterProvider(
    metric_readers=[reader],
    resource=Resource.create(
        {"service.name": "shop", "service.namespace": protocol, "service.instance.id": temporality}
    ),
    views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())],
)
meter = provider.get_meter("test", "1.0")
requests = meter.create_counter("http.requests", unit="1", description="Requests.")
level = meter.create_up_down_counter("level", unit="By")
explicit = meter.create_histogram("explicit", unit="s", explicit_bucket_boundaries_advisory=[1.0, 5.0])
exponential = meter.create_histogram("exponential", unit="s")
for i in (1, 2, 3):
    requests.add(i, {"http.method": "GET"})
    level.add(-i)
    for value in (0.5 * i, 2.0 * i):
        explicit.record(value)
        exponential.record(value)
    if not provider.force_flush():
        sys.exit("the export failed")
    # Samples have times in milliseconds: the next ones come later.
    time.sleep(0.002)
provider.shutdown()
