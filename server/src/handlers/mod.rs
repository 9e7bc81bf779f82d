//! What the routes do; one file per group of routes.

pub mod admin;
pub mod exemplars;
pub mod expression;
pub mod federate;
pub mod grpc;
pub mod health;
pub mod import;
pub mod labels;
pub mod loki;
pub mod metadata;
pub mod nothing;
pub mod otlp;
pub mod page;
pub mod push;
pub mod query;
pub mod read;
pub mod search;
pub mod selectors;
pub mod status;

mod tree;
