//! Pairs of agents that send the same: the series of all replicas of a cluster become one, by taking
//! off the label that tells the replica, and those of but one replica are kept.
//!
//! This works on a decompressed message before it is decoded. What is kept is copied as it is but
//! for that label; what is wrong with it, decoding finds out.

use ephemeris_model::BodyKind;

use crate::body::Limits;
use crate::error::IngestError;
use crate::output::{bytes, varint};
use crate::wire::{Reader, WireType};

use super::labels::read_pair;
use super::parts::Budget;
use super::v2::read_refs;

/// Names of the labels by which agents of a pair are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaLabels {
    /// Of the label that all agents of a pair have in common.
    pub cluster: String,
    /// Of the label that each of them has another value of; it is taken off.
    pub replica: String,
}

/// What becomes of the series of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are stored.
    Keep,
    /// They are not: another replica's are.
    Drop,
    /// They are refused: there are too many clusters.
    Refuse,
}

/// Items of series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Float samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.samples + self.histograms + self.exemplars
    }

    fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
    }
}

/// What is left of a message.
#[derive(Debug, Default)]
pub struct Filtered {
    /// The message, of the same version, not compressed; it may be empty.
    pub message: Vec<u8>,
    /// What was dropped.
    pub dropped: Counts,
    /// What was refused.
    pub refused: Counts,
}

/// Asks `fate` for each cluster and replica that a message names, and leaves of it what is kept.
/// A series that lacks one of the labels is kept as it is; `None` if all do.
///
/// # Errors
/// If the message is not well-formed, or passes `limits.batch_bytes_max`.
pub fn filter(
    kind: BodyKind,
    message: &[u8],
    labels: &ReplicaLabels,
    limits: &Limits,
    fate: &mut dyn FnMut(&str, &str) -> Fate,
) -> Result<Option<Filtered>, IngestError> {
    let is_v2 = matches!(kind, BodyKind::RemoteWrite2 | BodyKind::RemoteWrite2Plain);
    let mut budget = Budget::new(limits.batch_bytes_max);
    let symbols = if is_v2 { read_symbols(message, &mut budget)? } else { Vec::new() };
    let mut filter = Filter {
        labels,
        fate,
        last: None,
        budget,
        out: Filtered { message: Vec::with_capacity(message.len()), ..Filtered::default() },
        has_replicas: false,
    };
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field()? {
        match (is_v2, field.number) {
            (false, 1) | (true, 5) => {
                field.expect(WireType::Length, "timeseries")?;
                let series = reader.message("timeseries")?;
                let whole = reader.since(field.at);
                if is_v2 {
                    filter.series_v2(series, whole, &symbols)?;
                } else {
                    filter.series_v1(series, whole)?;
                }
            }
            _ => {
                reader.skip(field)?;
                filter.out.message.extend_from_slice(reader.since(field.at));
            }
        }
    }
    Ok(filter.has_replicas.then_some(filter.out))
}

fn read_symbols<'a>(message: &'a [u8], budget: &mut Budget) -> Result<Vec<&'a [u8]>, IngestError> {
    let mut symbols = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field()? {
        if field.number == 4 {
            field.expect(WireType::Length, "symbol")?;
            budget.take_one::<&[u8]>()?;
            symbols.push(reader.bytes("symbol")?);
        } else {
            reader.skip(field)?;
        }
    }
    Ok(symbols)
}

struct Filter<'a, 'b> {
    labels: &'b ReplicaLabels,
    fate: &'b mut dyn FnMut(&str, &str) -> Fate,
    /// The cluster and replica asked for last; as a rule a request has one.
    last: Option<(&'a str, &'a str, Fate)>,
    budget: Budget,
    out: Filtered,
    has_replicas: bool,
}

/// The values of the two labels of a series.
#[derive(Clone, Copy, Default)]
struct Named<'a> {
    cluster: &'a [u8],
    replica: &'a [u8],
}

impl<'a> Filter<'a, '_> {
    fn note(&self, named: &mut Named<'a>, (name, value): (&'a [u8], &'a [u8])) {
        if name == self.labels.cluster.as_bytes() {
            named.cluster = value;
        } else if name == self.labels.replica.as_bytes() {
            named.replica = value;
        }
    }

    /// What becomes of a series, if it has both labels.
    fn fate_of(&mut self, named: Named<'a>) -> Option<Fate> {
        let text = |bytes| std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty());
        let (cluster, replica) = (text(named.cluster)?, text(named.replica)?);
        self.has_replicas = true;
        if let Some((last_cluster, last_replica, fate)) = self.last
            && (cluster, replica) == (last_cluster, last_replica)
        {
            return Some(fate);
        }
        let fate = (self.fate)(cluster, replica);
        self.last = Some((cluster, replica, fate));
        Some(fate)
    }

    /// Whether a series is kept; counts it if not.
    fn keeps(&mut self, fate: Fate, counts: Counts) -> bool {
        match fate {
            Fate::Keep => return true,
            Fate::Drop => self.out.dropped.add(counts),
            Fate::Refuse => self.out.refused.add(counts),
        }
        false
    }

    /// Copies the fields of a series to field `number` of the message, behind what it begins with.
    fn copy(
        &mut self,
        number: u32,
        mut series: Vec<u8>,
        mut fields: Reader<'a>,
        is_kept: impl Fn(u32, &[u8]) -> bool,
    ) -> Result<(), IngestError> {
        while let Some(field) = fields.field()? {
            fields.skip(field)?;
            let whole = fields.since(field.at);
            if is_kept(field.number, whole) {
                series.extend_from_slice(whole);
            }
        }
        bytes(&mut self.out.message, number, &series);
        Ok(())
    }

    fn series_v1(&mut self, series: Reader<'a>, whole: &'a [u8]) -> Result<(), IngestError> {
        let (mut named, mut counts, mut reader) = (Named::default(), Counts::default(), series);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => {
                    field.expect(WireType::Length, "label")?;
                    let pair = read_pair(reader.message("label")?)?;
                    self.note(&mut named, pair);
                    continue;
                }
                2 => counts.samples += 1,
                3 => counts.exemplars += 1,
                4 => counts.histograms += 1,
                _ => {}
            }
            reader.skip(field)?;
        }
        let Some(fate) = self.fate_of(named) else {
            self.out.message.extend_from_slice(whole);
            return Ok(());
        };
        if !self.keeps(fate, counts) {
            return Ok(());
        }
        let replica = self.labels.replica.as_bytes();
        let is_replica = |field: &[u8]| {
            let mut reader = Reader::new(field);
            matches!(reader.field(), Ok(Some(_)))
                && reader
                    .message("label")
                    .and_then(read_pair)
                    .is_ok_and(|(name, _)| name == replica)
        };
        self.copy(1, Vec::new(), series, |number, field| number != 1 || !is_replica(field))
    }

    fn series_v2(
        &mut self,
        series: Reader<'a>,
        whole: &'a [u8],
        symbols: &[&'a [u8]],
    ) -> Result<(), IngestError> {
        let (mut refs, mut counts, mut reader) = (Vec::new(), Counts::default(), series);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => {
                    read_refs(&mut reader, field, &mut refs, &mut self.budget)?;
                    continue;
                }
                2 => counts.samples += 1,
                3 => counts.histograms += 1,
                4 => counts.exemplars += 1,
                _ => {}
            }
            reader.skip(field)?;
        }
        let (mut named, mut kept) = (Named::default(), Vec::with_capacity(refs.len()));
        let symbol = |reference: u32| symbols.get(reference as usize).copied();
        for pair in refs.chunks(2) {
            let found = match *pair {
                [name, value] => symbol(name).zip(symbol(value)),
                _ => None,
            };
            let Some((name, value)) = found else {
                // References that are wrong are for decoding to refuse.
                self.out.message.extend_from_slice(whole);
                return Ok(());
            };
            self.note(&mut named, (name, value));
            if name != self.labels.replica.as_bytes() {
                pair.iter().for_each(|reference| varint(&mut kept, u64::from(*reference)));
            }
        }
        let Some(fate) = self.fate_of(named) else {
            self.out.message.extend_from_slice(whole);
            return Ok(());
        };
        if !self.keeps(fate, counts) {
            return Ok(());
        }
        let mut first = Vec::with_capacity(series.rest().len());
        bytes(&mut first, 1, &kept);
        self.copy(5, first, series, |number, _| number != 1)
    }
}

#[cfg(test)]
mod tests;
