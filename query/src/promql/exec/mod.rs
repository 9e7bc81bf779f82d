//! Operators: evaluate a plan over batches of series.

pub mod batch;
