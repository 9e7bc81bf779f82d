//! Loki's HTTP API, under `/loki/api/v1`. Its errors are plain text.
//!
//! | file | answers |
//! |---|---|
//! | `push` | `push` |
//! | `query` | `query`, `query_range` |
//! | `export` | `export` |
//! | `tail` | `tail` |
//! | `labels` | `labels`, `label/{name}/values`, `series` |
//! | `index` | `index/stats`, `index/volume`, `index/volume_range` |
//! | `detected` | `detected_labels`, `detected_fields`, `detected_field/{name}/values` |
//! | `patterns` | `patterns` |
//! | `delete` | `delete` |
//! | `info` | `format_query`, `drilldown-limits`, `status/buildinfo` |
//! | `request`, `params` | what all of them read: tenants, parameters, times |
//! | `tenants` | the streams of several tenants as those of one |
//! | `held` | entries at hand, for a query to run on |
//! | `answer` | streams, vectors and matrices as JSON |
//! | `error` | what went wrong, as text |

pub mod delete;
pub mod detected;
pub mod export;
pub mod index;
pub mod info;
pub mod labels;
pub mod patterns;
pub mod push;
pub mod query;
pub mod tail;

mod answer;
mod error;
mod held;
mod params;
mod request;
mod tenants;
