//! Questions over stores of this process: what they mean in each dialect, how they are
//! planned, and that every way to an answer gives the same one.

mod diagnostics;
mod interpreter;
mod live;
mod operators;
mod preaggregates;
mod pruning;
mod semantics;
#[path = "../support/mod.rs"]
mod support;
mod trace_facts;
