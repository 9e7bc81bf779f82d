//! Tests of reading blocks.
