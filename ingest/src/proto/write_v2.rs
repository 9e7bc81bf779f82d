//! `io.prometheus.write.v2.Request` and the messages in it.

use std::collections::HashMap;

use prost::Message;

pub use super::write_v1::Histogram;

/// A remote-write 2.0 request.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// All strings of the request; the first is empty.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub symbols: Vec<Vec<u8>>,
    /// Series with their samples.
    #[prost(message, repeated, tag = "5")]
    pub timeseries: Vec<TimeSeries>,
}

/// A series.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// Its labels: name, value, name, value … as numbers of symbols.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// Its float samples.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Its native histograms.
    #[prost(message, repeated, tag = "3")]
    pub histograms: Vec<Histogram>,
    /// Its exemplars.
    #[prost(message, repeated, tag = "4")]
    pub exemplars: Vec<Exemplar>,
    /// Metadata of its metric family.
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<Metadata>,
    /// Start timestamp of all samples, 0 = unknown; from senders of an older draft.
    #[prost(int64, tag = "6")]
    pub created_timestamp: i64,
}

/// A float sample.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// Value; optional for the same reason as in remote write 1.0.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    /// Milliseconds since the epoch, 0 = unknown.
    #[prost(int64, tag = "3")]
    pub start_timestamp: i64,
}

/// An exemplar.
#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    /// Labels of its own, as those of a series.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// Value; optional for the same reason as in remote write 1.0.
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// Metadata of a metric family.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Metadata {
    /// Number of the type.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    /// Symbol of the help text.
    #[prost(uint32, tag = "3")]
    pub help_ref: u32,
    /// Symbol of the unit.
    #[prost(uint32, tag = "4")]
    pub unit_ref: u32,
}

/// Collects the strings of a request, each once.
#[derive(Clone, Debug)]
pub struct SymbolTable {
    symbols: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
}

impl Default for SymbolTable {
    fn default() -> Self {
        Self { symbols: vec![Vec::new()], numbers: HashMap::from([(Vec::new(), 0)]) }
    }
}

impl SymbolTable {
    /// The number of `text`, given now if it has none yet.
    pub fn number(&mut self, text: impl AsRef<[u8]>) -> u32 {
        let text = text.as_ref();
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = u32::try_from(self.symbols.len()).unwrap_or(u32::MAX);
        self.symbols.push(text.to_vec());
        self.numbers.insert(text.to_vec(), number);
        number
    }

    /// The references of a label set.
    pub fn labels_refs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Vec<u32> {
        let mut refs = Vec::new();
        for (name, value) in labels {
            refs.push(self.number(name));
            refs.push(self.number(value));
        }
        refs
    }

    /// The table for [`Request::symbols`].
    #[must_use]
    pub fn into_symbols(self) -> Vec<Vec<u8>> {
        self.symbols
    }
}
