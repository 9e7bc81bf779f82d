//! Background work.

pub mod compact;
