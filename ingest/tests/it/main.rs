//! Properties of the decoders, with `prost` as the reference.

mod captured;
mod messages;
mod otlp;
mod remote_write_v1;
mod remote_write_v2;
