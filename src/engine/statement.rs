//! What the optimizer has to know of the statement it works for.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::alias::AliasGenerator;
use datafusion::common::config::ConfigOptions;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::optimizer::{OptimizerConfig, OptimizerContext};

/// One statement of the engine's session. A session of its own for each would copy
/// all functions.
pub struct Statement<'a> {
    session: &'a SessionState,
    /// The current time is that of the statement's start, once for all of it.
    started: OptimizerContext,
}

impl<'a> Statement<'a> {
    /// A statement that starts now.
    pub fn starting(session: &'a SessionState) -> Self {
        let options = Arc::clone(session.config().options());
        Self { session, started: OptimizerContext::new_with_config_options(options) }
    }
}

impl OptimizerConfig for Statement<'_> {
    fn query_execution_start_time(&self) -> Option<DateTime<Utc>> {
        self.started.query_execution_start_time()
    }

    fn alias_generator(&self) -> &Arc<AliasGenerator> {
        self.started.alias_generator()
    }

    fn options(&self) -> Arc<ConfigOptions> {
        self.started.options()
    }

    fn function_registry(&self) -> Option<&dyn FunctionRegistry> {
        Some(self.session)
    }
}
