//! PromQL for Ephemeris.

pub mod promql;
