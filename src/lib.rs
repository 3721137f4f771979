//! sysjob: the Dataverse asynchronous service as a fast, durable job table.

pub mod catalog;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod import;
pub mod job;
pub mod query;
pub mod store;
pub mod value;
