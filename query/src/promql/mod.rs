//! PromQL: parse → plan → rewrite → operators.

pub mod annotations;
pub mod ast;
pub mod exec;
pub mod functions;
