//! Tests with outside clients: a real Prometheus agent that writes, promtool and another
//! Prometheus that read.
//! `make test` makes both available; where they are missing these tests fail.

mod agent;
mod dashboards;
mod differential;
mod otel;
mod programs;
mod promtool;
mod proxy;
mod remote_read;
mod tsdb;
