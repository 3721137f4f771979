//! What every surface serves from: the live tables, the query engine, the
//! scheduler, and how this service is set up.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use crate::clock::{Clock, SystemClock};
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::identity::Caller;
use crate::query::Context;
use crate::relations;
use crate::scheduler::Handle;
use crate::store::{Snapshot, Store};

/// The parts of a running service that its surfaces share.
pub struct Service {
    pub store: Arc<Store>,
    pub engine: Arc<Engine>,
    /// Nothing when the service runs no jobs.
    pub scheduler: Option<Handle>,
    pub clock: Arc<dyn Clock>,
    /// Nothing when anybody who can connect is let in.
    pub credentials: Option<Arc<Credentials>>,
    pub settings: Settings,
}

/// How a service is set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The time zone of callers who name none.
    pub timezone: Tz,
    /// The limits of Dataverse itself are kept: 50,000 rows to aggregate and so on.
    pub dataverse_limits: bool,
    /// `$apply` runs before a `$filter` beside it, as the OData standard has it;
    /// in Dataverse the filter runs first.
    pub standard_order: bool,
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timezone: Tz::UTC,
            dataverse_limits: false,
            standard_order: false,
            limits: Limits::default(),
        }
    }
}

/// What a listener lets its clients take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once, for each listener.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of a request's path with its query.
    pub url_bytes: usize,
    /// How long a client may take to send the head of a request or a piece of
    /// its body, or to set up TLS.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
}

impl Limits {
    pub const DEFAULT: Self = Self {
        connections: 1000,
        body_bytes: 64 * 1024 * 1024,
        url_bytes: 32 * 1024,
        header_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(75),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Service {
    /// A service over a store that runs no jobs, set up as by default.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            engine: Arc::new(Engine::new()),
            scheduler: None,
            clock: Arc::new(SystemClock),
            credentials: None,
            settings: Settings::default(),
        }
    }

    /// What a query over a snapshot means to a caller now; the service's time
    /// zone counts where the caller names none.
    pub fn context(
        &self,
        snapshot: &Arc<Snapshot>,
        caller: &Caller,
        timezone: Option<Tz>,
    ) -> Context {
        let timezone = timezone.unwrap_or(self.settings.timezone);
        Context {
            dataverse_limits: self.settings.dataverse_limits,
            ..relations::context(snapshot, self.clock.now(), timezone, caller)
        }
    }
}
