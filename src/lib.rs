//! sysjob: the Dataverse asynchronous service as a fast, durable job table.

pub mod catalog;
pub mod clock;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod import;
pub mod job;
pub mod pgwire;
pub mod query;
pub mod scheduler;
pub mod service;
pub mod store;
pub mod value;
