//! Metadata in remote write 2.0: each series may carry it, but it concerns the metric family.

use ephemeris_model::{Metadata, MetricType};

use crate::error::IngestError;
use crate::wire::{Reader, WireType, low_bits};

use super::super::parts::{Budget, Columns, RawMetadata};
use super::symbols::Symbols;

/// A `Metadata` message as received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RefMetadata {
    metric_type: u64,
    help_ref: u32,
    unit_ref: u32,
}

impl RefMetadata {
    /// Reads a message; what it does not say stays, as protobuf demands of a repeated message.
    pub(super) fn read(&mut self, mut reader: Reader<'_>) -> Result<(), IngestError> {
        while let Some(field) = reader.field()? {
            let what = match field.number {
                1 => "type in metadata",
                3 => "help in metadata",
                4 => "unit in metadata",
                _ => {
                    reader.skip(field)?;
                    continue;
                }
            };
            field.expect(WireType::Varint, what)?;
            let number = reader.varint(what)?;
            match field.number {
                1 => self.metric_type = u64::from(low_bits(number)),
                3 => self.help_ref = low_bits(number),
                _ => self.unit_ref = low_bits(number),
            }
        }
        Ok(())
    }
}

/// Hands on metadata of families, each once as long as it does not change.
#[derive(Default)]
pub(super) struct FamilyMetadata {
    /// The last seen, by symbol of the metric name. Empty until the first is seen.
    seen: Vec<Option<RefMetadata>>,
}

impl FamilyMetadata {
    /// Adds the metadata of a series with label references `refs`, which are known to be valid.
    /// Most senders send none.
    pub(super) fn add(
        &mut self,
        metadata: &RefMetadata,
        symbols: &Symbols<'_>,
        refs: &[u32],
        (columns, budget): (&mut Columns, &mut Budget),
    ) -> Result<(), IngestError> {
        if *metadata == RefMetadata::default() {
            return Ok(());
        }
        let Some((name_ref, name)) = symbols.metric(refs) else { return Ok(()) };
        if self.seen.is_empty() {
            budget.take(symbols.len().saturating_mul(size_of::<Option<RefMetadata>>()))?;
            self.seen.resize(symbols.len(), None);
        }
        match self.seen.get_mut(name_ref as usize) {
            Some(seen) if *seen != Some(*metadata) => *seen = Some(*metadata),
            _ => return Ok(()),
        }
        let (Some(help), Some(unit)) =
            (symbols.get(metadata.help_ref), symbols.get(metadata.unit_ref))
        else {
            columns.refuse_metadata(format!(
                "metadata refers to symbols {} and {} of {}",
                metadata.help_ref,
                metadata.unit_ref,
                symbols.len()
            ));
            return Ok(());
        };
        budget.take(size_of::<Metadata>() + name.len() + help.len() + unit.len())?;
        let metric = family(name, MetricType::from_number(metadata.metric_type));
        let metric_type = metadata.metric_type;
        columns.add_metadata(RawMetadata { metric, metric_type, help, unit });
        Ok(())
    }
}

/// The family a series belongs to: those of histograms and summaries have suffixes.
fn family(name: &[u8], metric_type: MetricType) -> &[u8] {
    let suffixes: &[&[u8]] = match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => &[b"_bucket", b"_count", b"_sum"],
        MetricType::Summary => &[b"_count", b"_sum"],
        _ => &[],
    };
    let stripped = suffixes.iter().find_map(|suffix| name.strip_suffix(*suffix));
    stripped.filter(|family| !family.is_empty()).unwrap_or(name)
}
