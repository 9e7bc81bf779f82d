//! Tests of the server over HTTP: one file per concern, the routes mirrored in `endpoints`.

mod bad_input;
mod contract;
mod documents;
mod endpoints;
mod grpc;
mod import;
mod isolation;
mod otlp;
mod process;
mod support;
mod transport;
mod writes;
