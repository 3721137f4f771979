//! What the optimizer has to know of the statement it works for.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::alias::AliasGenerator;
use datafusion::common::config::ConfigOptions;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::optimizer::OptimizerConfig;

use crate::clock::{Clock, SystemClock};

/// One statement of the engine's session. A session of its own for each would copy
/// all functions.
pub struct Statement<'a> {
    session: &'a SessionState,
    /// The current time is that of the statement's start, once for all of it.
    start: DateTime<Utc>,
    aliases: Arc<AliasGenerator>,
}

impl<'a> Statement<'a> {
    /// A statement that starts now.
    pub fn starting(session: &'a SessionState) -> Self {
        Self {
            session,
            start: DateTime::from_timestamp_micros(SystemClock.now()).unwrap_or_default(),
            aliases: Arc::default(),
        }
    }
}

impl OptimizerConfig for Statement<'_> {
    fn query_execution_start_time(&self) -> Option<DateTime<Utc>> {
        Some(self.start)
    }

    fn alias_generator(&self) -> &Arc<AliasGenerator> {
        &self.aliases
    }

    fn options(&self) -> Arc<ConfigOptions> {
        Arc::clone(self.session.config().options())
    }

    fn function_registry(&self) -> Option<&dyn FunctionRegistry> {
        Some(self.session)
    }
}
