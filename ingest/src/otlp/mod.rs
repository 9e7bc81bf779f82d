//! OpenTelemetry (OTLP). Metrics are translated to Prometheus' model and written as a message of
//! parts of label sets, which the WAL keeps and the decoder of remote write reads. Logs are translated to
//! Loki's model and written as a push of Loki in the same way.
//!
//! | module | holds |
//! |---|---|
//! | [`json`] | a request in JSON, brought into protobuf |
//! | `message`, `point`, `attributes` | a request in protobuf, read in place |
//! | `translate`, `write` | the walk through a request: from points to samples |
//! | `naming`, `labels` | names and label sets as texts |
//! | `cache`, `keys`, `parts` | what is known from earlier requests, by its bytes |
//! | `family` | what a metric becomes |
//! | `histogram` | histograms as native histograms |
//! | `delta` | delta points added up |
//! | [`logs`] | from log records to entries |
//! | [`answer`] | what the sender is told |

pub mod answer;
pub mod json;
pub mod logs;

mod attributes;
mod cache;
mod delta;
mod family;
mod histogram;
mod keys;
mod labels;
mod message;
mod naming;
mod options;
mod parts;
mod point;
mod schema;
mod translate;
mod write;

pub use crate::output::NO_POINT;
pub use cache::Cache;
pub use delta::{Accumulator, Session, Stored, StoredSample};
pub use naming::Naming;
pub use options::{DeltaMode, ExplicitHistograms, Options};
pub use translate::{PairPoints, Refused, Replicas, Translated, translate};

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod warm;
