//! PromQL for Ephemeris.

pub mod budget;
pub mod promql;
pub mod script;
