//! Tests with outside clients: a real Prometheus agent that writes, promtool that reads.
//! `make test` makes both available; where they are missing these tests fail.

mod agent;
mod dashboards;
mod otel;
mod programs;
mod promtool;
mod proxy;
