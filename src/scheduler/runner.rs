//! Who does the work of attempts inside the service, other than simulated work. It
//! lies above the scheduler, so the scheduler knows it by this trait only; an attempt
//! ends with [`super::Handle::complete`].

use std::sync::Arc;

use super::core::Told;
use crate::job::Handler;
use crate::value::Guid;

/// An attempt that has begun.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: Guid,
    /// Its number among the attempts of the job.
    pub number: i32,
    pub operationtype: Option<i32>,
    pub handler: Arc<Handler>,
}

/// Does the work of attempts. None of the calls waits for the work.
pub trait Runner: Send + Sync {
    /// Begins the work of an attempt, whose start is durable.
    fn start(&self, attempt: Attempt);

    /// Asks an attempt to end soon; its report decides what comes of it.
    fn tell(&self, id: Guid, attempt: i32, told: Told);

    /// An attempt no longer counts, and may as well end.
    fn abandon(&self, id: Guid, attempt: i32);
}
