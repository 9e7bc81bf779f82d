//! Loki's HTTP API, under `/loki/api/v1`. Its errors are plain text.

pub mod push;
