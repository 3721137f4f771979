//! What every surface serves from: the live tables and the query engine.

use std::sync::Arc;

use crate::engine::Engine;
use crate::store::Store;

/// The parts of a running service that its surfaces share.
pub struct Service {
    pub store: Arc<Store>,
    pub engine: Arc<Engine>,
}
