// Records a few metrics with the OpenTelemetry SDK and exports them as JSON three times.
// usage: record.mjs MODULES URL cumulative|delta

import { createRequire } from 'node:module';
import { setTimeout } from 'node:timers/promises';

const [modules, url, temporality] = process.argv.slice(2);
const require = createRequire(`${modules}/package.json`);
const { MeterProvider, PeriodicExportingMetricReader, AggregationType } = require('@opentelemetry/sdk-metrics');
const { OTLPMetricExporter, AggregationTemporalityPreference } = require('@opentelemetry/exporter-metrics-otlp-http');
const { resourceFromAttributes } = require('@opentelemetry/resources');

const temporalityPreference =
  temporality === 'delta' ? AggregationTemporalityPreference.DELTA : AggregationTemporalityPreference.CUMULATIVE;
let failures = 0;
const exporter = new OTLPMetricExporter({ url, temporalityPreference });
const send = exporter.export.bind(exporter);
exporter.export = (metrics, done) => send(metrics, (result) => {
  failures += result.code === 0 ? 0 : 1;
  done(result);
});
const provider = new MeterProvider({
  resource: resourceFromAttributes({
    'service.name': 'shop',
    'service.namespace': 'json',
    'service.instance.id': temporality,
  }),
  readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
  views: [{ instrumentName: 'exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
const meter = provider.getMeter('test', '1.0');
const requests = meter.createCounter('http.requests', { unit: '1', description: 'Requests.' });
const level = meter.createUpDownCounter('level', { unit: 'By' });
const explicit = meter.createHistogram('explicit', { unit: 's', advice: { explicitBucketBoundaries: [1, 5] } });
const exponential = meter.createHistogram('exponential', { unit: 's' });
for (const i of [1, 2, 3]) {
  requests.add(i, { 'http.method': 'GET' });
  level.add(-i);
  for (const value of [0.5 * i, 2 * i]) {
    explicit.record(value);
    exponential.record(value);
  }
  await provider.forceFlush();
  // Samples have times in milliseconds: the next ones come later.
  await setTimeout(2);
}
await provider.shutdown();
process.exit(failures);
