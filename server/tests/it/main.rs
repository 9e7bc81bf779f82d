//! Tests of the server over HTTP: one file per concern, the routes mirrored in `endpoints`.

mod bad_input;
mod commands;
mod contract;
mod documents;
mod endpoints;
mod isolation;
mod process;
mod support;
mod transport;
mod writes;
