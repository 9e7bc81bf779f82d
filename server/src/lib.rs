//! The server: HTTP in front of the store and the query engine.
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | start, serve, shut down |
//! | [`commands`] | `verify`, `inspect`, `export`, `import` |
//! | [`config`] | the settings: flags, file, environment |
//! | [`app`] | what all requests share |
//! | [`router`] | all routes on one screen |
//! | [`middleware`] | what happens to every request: ids, metrics, CORS, readiness |
//! | [`handlers`] | what the routes do |
//! | [`api`] | parameters, errors and JSON |
//! | [`connection`] | accept loop, HTTP/1.1 and HTTP/2, timeouts |
//! | [`web`] | TLS and passwords |
//! | [`body`] | reading bodies within limits |
//! | [`memory`] | memory given back when threads rest |
//! | [`room`] | memory for bodies being worked on |
//! | [`active`] | the queries that run now |
//! | [`workers`] | the thread pools where all blocking work is done |
//! | [`priority`] | long queries give way to short ones |
//! | [`at_once`] | light queries, answered without a worker |
//! | [`reuse`] | answers to range queries, kept for dashboards that refresh |
//! | [`queries`], [`turns`] | the pool of queries, and whose query it runs next |
//! | [`metrics`], [`self_metrics`] | the server's own metrics, served and stored |
//! | [`rates`], [`arrivals`] | what each tenant may send in a second, and what arrived |
//! | [`pairs`] | of agents that send the same, which one is stored |
//! | [`tails`] | who is told of new log entries |
//! | [`totals`] | what the store has of a series, for adding up delta points |
//! | [`shutdown`] | signals |
//!
//! Write path: [`handlers::push`] checks headers, reads the body, and has a worker decode it
//! (`ephemeris_ingest`) and store it (`ephemeris_storage`). Read path: [`handlers::query`] reads
//! parameters and has a worker parse and evaluate the query (`ephemeris_query`) over a reader of
//! the store; the answer is written piece by piece ([`api::stream`]).
//!
//! **Invariant**: socket threads never block and never compute for long, so patterns are compiled
//! by workers; workers never wait for a client, but for one that takes the frames of a remote read
//! or an export,
//! for it no longer than a query may take, and a quarter of them at most.
//!
//! **Invariant**: the bytes of bodies count in [`room`] from their coming to the end of the work on
//! them; those of queries count in one account until their answers were sent.
//!
//! **Invariant**: a status and an `errorType` belong together as [`api::error`] says, nowhere else.
//!
//! When you add a setting, also run the tests with `UPDATE_DOCS=1`: `docs/configuration.md` is
//! made from the table. When you add a metric, the same makes `docs/metrics.md`.

pub mod active;
pub mod api;
pub mod app;
pub mod arrivals;
pub mod at_once;
pub mod body;
pub mod commands;
pub mod config;
pub mod connection;
pub mod handlers;
pub mod memory;
pub mod metrics;
pub mod middleware;
pub mod pairs;
pub mod priority;
pub mod queries;
pub mod rates;
pub mod reuse;
pub mod room;
pub mod router;
pub mod self_metrics;
pub mod server;
pub mod shutdown;
pub mod tails;
pub mod totals;
mod translations;
pub mod turns;
pub mod web;
pub mod workers;
