//! The scheduler under random events and virtual time, and the live one over a
//! real store.

mod core;
mod driver;
