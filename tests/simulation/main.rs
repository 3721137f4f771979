//! The scheduler in virtual time and over a real store. README.md says how.

mod driver;
mod history;
mod model;
mod remote;
mod world;
