//! Why jobs wait, which no row says: whoever runs the jobs knows. A snapshot asks when
//! a query wants to know, and once.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::value::Guid;

/// What ready jobs wait for, in a word; those that are not here wait for a place to run.
pub type Waits = HashMap<Guid, &'static str>;

/// Asks whoever runs the jobs; nothing when that is nobody.
pub type AskWaits = Arc<dyn Fn() -> BoxFuture<'static, Option<Waits>> + Send + Sync>;

/// An answer that is asked for at most once.
#[derive(Default)]
pub struct Explanation {
    ask: Option<AskWaits>,
    answer: OnceCell<Option<Waits>>,
}

impl Explanation {
    pub fn of(ask: Option<AskWaits>) -> Self {
        Self { ask, answer: OnceCell::new() }
    }

    pub async fn fetch(&self) {
        let ask = || async {
            match &self.ask {
                Some(ask) => ask().await,
                None => None,
            }
        };
        self.answer.get_or_init(ask).await;
    }

    pub fn get(&self) -> Option<&Waits> {
        self.answer.get()?.as_ref()
    }
}
