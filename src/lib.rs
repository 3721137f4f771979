//! sysjob: the Dataverse asynchronous service as a fast, durable job table.

pub mod ask;
pub mod bulk_delete;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod credentials;
pub mod diagnose;
pub mod dialect;
pub mod encode;
pub mod engine;
pub mod error;
pub mod http;
pub mod identity;
pub mod import;
pub mod job;
pub mod messages;
pub mod pgwire;
pub mod query;
pub mod relations;
pub mod scheduler;
pub mod script;
pub mod service;
pub mod store;
pub mod tls;
pub mod value;
pub mod write;
