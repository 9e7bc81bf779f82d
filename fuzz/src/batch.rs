//! Batches as text, so that two can be compared to the bit.

use ephemeris_model::WriteBatch;

/// All of a batch but its body. Floats show their bits.
#[must_use]
pub fn shown(batch: &WriteBatch<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for series in &batch.series {
        let mut pairs = Vec::new();
        let read = batch.read_labels(series, &mut pairs);
        let (samples, histograms) = (&series.samples, &series.histograms);
        lines.push(format!("{read:?} {pairs:?} {samples:?} {histograms:?} {:?}", series.exemplars));
    }
    let samples = batch.samples.iter();
    lines.extend(samples.map(|s| format!("{} {:x}", s.timestamp_ms, s.value.to_bits())));
    lines.push(format!("{:?}", batch.start_timestamps));
    lines.extend(batch.histograms.iter().map(|h| format!("{h:?} {:x}", h.histogram.sum.to_bits())));
    let exemplars = batch.exemplars.iter();
    lines.extend(
        exemplars.map(|e| format!("{} {} {:x}", e.labels, e.timestamp_ms, e.value.to_bits())),
    );
    lines.push(format!("{:?}", batch.metadata));
    // They are in the order in which they were met, which is that of fields.
    let rejects = batch.rejects.iter().map(|(reason, count, _)| format!("{reason:?} {count}"));
    let mut rejects: Vec<String> = rejects.collect();
    rejects.sort_unstable();
    lines.extend(rejects);
    lines
}
