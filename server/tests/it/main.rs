//! Tests of the server over HTTP: one file per concern, the routes mirrored in `endpoints`.

mod bad_input;
mod commands;
mod contract;
mod documents;
mod endpoints;
mod grpc;
mod hostile;
mod import;
mod isolation;
mod loki_api;
mod loki_delete;
mod loki_export;
mod loki_push;
mod loki_real;
mod loki_shapes;
mod loki_tail;
mod otlp;
mod otlp_logs;
mod process;
mod reads;
mod scripts;
mod support;
mod transport;
mod writes;
