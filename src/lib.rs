//! sysjob: the Dataverse asynchronous service as a fast, durable job table.

/// Planning a query makes and drops thousands of small things on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod ask;
pub mod bulk_action;
pub mod bulk_delete;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod diagnose;
pub mod dialect;
pub mod duplicates;
pub mod encode;
pub mod engine;
pub mod error;
pub mod events;
pub mod handlers;
pub mod http;
pub mod identity;
pub mod import;
pub mod job;
pub mod messages;
pub mod pgwire;
pub mod priority;
pub mod query;
pub mod relations;
pub mod scheduler;
pub mod script;
pub mod service;
pub mod store;
pub mod tls;
pub mod translate;
pub mod value;
pub mod webhook;
pub mod write;
