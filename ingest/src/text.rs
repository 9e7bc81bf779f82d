//! Samples as text: Prometheus' exposition format and OpenMetrics, for scripts and curl.
//!
//! Lines that cannot be read are counted and named; the others are stored. What is read is
//! written as a remote-write 2.0 message, as for every protocol that is not remote write.

use std::collections::HashMap;

use crate::body::Limits;
use crate::error::IngestError;
use crate::output::{FamilyInfo, NO_POINT, Output, Symbol};
use ephemeris_model::MetricType;

pub mod grouping;
mod line;

use line::{Comment, Exemplar, SampleLine};

/// Texts of refused lines that are told to the sender.
const ERRORS_MAX: usize = 10;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format: timestamps are milliseconds.
    Prometheus,
    /// OpenMetrics: timestamps are seconds, with decimals.
    OpenMetrics,
}

/// A text that was read.
#[derive(Debug, Default)]
pub struct TextBatch {
    /// A remote-write 2.0 message, not compressed; empty if there is no sample.
    pub body: Vec<u8>,
    /// Lines that were refused.
    pub refused: u64,
    /// What is wrong with the first of them, each with its number.
    pub errors: Vec<String>,
}

impl TextBatch {
    fn refuse(&mut self, number: usize, text: &str) {
        self.refused += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(format!("line {number}: {text}"));
        }
    }
}

/// Reads a text. Samples without a timestamp get `received_ms`; `grouping` labels are set on every
/// series, whatever it says itself.
///
/// # Errors
/// If what is read passes `limits.batch_bytes_max`.
pub fn read(
    text: &[u8],
    format: Format,
    received_ms: i64,
    grouping: &[(String, String)],
    limits: &Limits,
) -> Result<TextBatch, IngestError> {
    let mut batch = TextBatch::default();
    let mut reading = Reading {
        format,
        received_ms,
        grouping,
        families: HashMap::new(),
        out: Output::new(limits.batch_bytes_max),
    };
    for (number, raw) in (1..).zip(text.split(|b| *b == b'\n')) {
        let Ok(line) = simdutf8::basic::from_utf8(raw) else {
            batch.refuse(number, "not UTF-8");
            continue;
        };
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() {
            continue;
        }
        let result = match line.strip_prefix('#') {
            Some("EOF" | " EOF") => break,
            Some(comment) => reading.comment(comment)?,
            None => reading.sample(line)?,
        };
        if let Err(text) = result {
            batch.refuse(number, &text);
        }
    }
    let (body, samples, _) = reading.out.finish();
    batch.body = if samples.is_empty() { Vec::new() } else { body };
    Ok(batch)
}

struct Reading<'a> {
    format: Format,
    received_ms: i64,
    grouping: &'a [(String, String)],
    families: HashMap<String, FamilyInfo>,
    out: Output,
}

impl Reading<'_> {
    fn comment(&mut self, comment: &str) -> Result<Result<(), String>, IngestError> {
        match line::comment(comment) {
            Ok(None) => {}
            Ok(Some(Comment::Type(name, metric_type))) => {
                self.family(&name)?.metric_type = metric_type as u8;
            }
            Ok(Some(Comment::Help(name, help))) => {
                let symbol = self.out.symbol(&help)?;
                self.family(&name)?.help = symbol;
            }
            Ok(Some(Comment::Unit(name, unit))) => {
                let symbol = self.out.symbol(&unit)?;
                self.family(&name)?.unit = symbol;
            }
            Err(text) => return Ok(Err(text)),
        }
        Ok(Ok(()))
    }

    fn family(&mut self, name: &str) -> Result<&mut FamilyInfo, IngestError> {
        if !self.families.contains_key(name) {
            // What a family costs here is what its name costs as a symbol.
            self.out.symbol(name)?;
            self.families.insert(name.to_owned(), FamilyInfo::default());
        }
        Ok(self.families.entry(name.to_owned()).or_default())
    }

    fn sample(&mut self, text: &str) -> Result<Result<(), String>, IngestError> {
        let mut sample = match line::sample(text, self.format) {
            Ok(sample) => sample,
            Err(text) => return Ok(Err(text)),
        };
        for (name, value) in self.grouping {
            sample.labels.retain(|(own, _)| own != name);
            sample.labels.push((name.clone(), value.clone()));
        }
        let info = self.info(&sample.name);
        let mut symbols = vec![[self.out.symbol("__name__")?, self.out.symbol(&sample.name)?]];
        symbols.append(&mut self.symbols(&sample.labels)?);
        let SampleLine { value, timestamp_ms, exemplar, .. } = sample;
        let time = timestamp_ms.unwrap_or(self.received_ms);
        let exemplar = match exemplar {
            Some(Exemplar { labels, value, timestamp_ms }) => {
                Some((self.symbols(&labels)?, value, timestamp_ms.unwrap_or(time)))
            }
            None => None,
        };
        self.out.open(&symbols);
        self.out.sample(NO_POINT, time, value, 0)?;
        if let Some((labels, value, time)) = exemplar {
            self.out.exemplar(&labels, value, time);
        }
        self.out.close(info)?;
        Ok(Ok(()))
    }

    fn symbols(&mut self, pairs: &[(String, String)]) -> Result<Vec<[Symbol; 2]>, IngestError> {
        let mut symbols = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            symbols.push([self.out.symbol(name)?, self.out.symbol(value)?]);
        }
        Ok(symbols)
    }

    /// What the family of a series says; series of some types have suffixes.
    fn info(&self, name: &str) -> FamilyInfo {
        let suffixes = ["_total", "_bucket", "_count", "_sum", "_created", "_info", "_gsum"];
        let families = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
        let known = std::iter::once(name).chain(families).find_map(|name| self.families.get(name));
        known.copied().unwrap_or_default()
    }
}

/// The type of this name, in either format.
fn metric_type(name: &str) -> Option<MetricType> {
    let name = if name == "untyped" { "unknown" } else { name };
    MetricType::ALL.into_iter().find(|t| t.as_str() == name)
}

#[cfg(test)]
mod tests;
