//! The program as its users meet it: real processes, their clients, command lines and
//! signals.

mod attached;
mod clients;
mod crash;
mod jobs;
mod limits;
mod operate;
mod own_tables;
mod paging;
mod questions;
mod replay;
mod secure;
mod stop;
#[path = "../support/mod.rs"]
mod support;
