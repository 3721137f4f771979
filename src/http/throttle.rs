//! The service protection limits of Dataverse, kept when `--dataverse-limits`
//! asks for it: how many requests a user may send in five minutes, and at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;

use super::access::caller;
use super::error::Failure;
use super::held;
use crate::error::{Error, ErrorKind};
use crate::service::Service;
use crate::value::Guid;

/// The span that requests are counted in, in microseconds.
const WINDOW: i64 = 5 * 60 * 1_000_000;
/// Requests of a user in that span.
const REQUESTS_MAX: usize = 6000;
/// Requests of a user at once.
const CONCURRENT_MAX: usize = 52;

const TOO_MANY_REQUESTS: u32 = 0x8007_2322;
const TOO_MANY_AT_ONCE: u32 = 0x8007_2326;

/// What users have sent of late.
#[derive(Default)]
pub struct Throttle(Mutex<HashMap<Guid, Usage>>);

#[derive(Default)]
struct Usage {
    /// When the requests of the window came.
    times: VecDeque<i64>,
    open: usize,
}

/// Held while a request is worked on.
struct Place {
    throttle: Arc<Throttle>,
    user: Guid,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(usage) = self.throttle.0.lock().get_mut(&self.user) {
            usage.open -= 1;
        }
    }
}

/// Why a request has to wait, and how many seconds.
#[derive(Debug, PartialEq, Eq)]
struct Wait {
    code: u32,
    seconds: i64,
    message: &'static str,
}

impl Throttle {
    /// Counts a request; the requests that remain in the window.
    fn enter(self: &Arc<Self>, user: Guid, now: i64) -> Result<(Place, usize), Wait> {
        let mut users = self.0.lock();
        let usage = users.entry(user).or_default();
        while usage.times.front().is_some_and(|time| *time <= now - WINDOW) {
            usage.times.pop_front();
        }
        if usage.open >= CONCURRENT_MAX {
            let message = "Number of concurrent requests exceeded the limit of 52.";
            return Err(Wait { code: TOO_MANY_AT_ONCE, seconds: 1, message });
        }
        if usage.times.len() >= REQUESTS_MAX {
            let oldest = usage.times.front().copied().unwrap_or(now);
            let seconds = (oldest + WINDOW - now).max(0) / 1_000_000 + 1;
            let message =
                "Number of requests exceeded the limit of 6000 over time window of 300 seconds.";
            return Err(Wait { code: TOO_MANY_REQUESTS, seconds, message });
        }
        usage.times.push_back(now);
        usage.open += 1;
        let left = REQUESTS_MAX - usage.times.len();
        Ok((Place { throttle: self.clone(), user }, left))
    }
}

/// Lets a request through, or has it wait.
pub async fn limit(
    State((service, throttle)): State<(Arc<Service>, Arc<Throttle>)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    // Who is not known is refused further on, and counts for nobody.
    let user = caller(&service, &parts).map(|caller| caller.user);
    let request = Request::from_parts(parts, body);
    let Ok(user) = user else { return next.run(request).await };
    match throttle.enter(user, service.clock.now()) {
        Ok((place, left)) => {
            let mut response = next.run(request).await;
            let left = HeaderValue::from(left);
            response.headers_mut().insert("x-ms-ratelimit-burst-remaining-xrm-requests", left);
            held(response, place)
        }
        Err(wait) => Failure::from(Error::new(ErrorKind::Limit, wait.code, wait.message))
            .with(header::RETRY_AFTER, HeaderValue::from(wait.seconds))
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Guid = [1; 16];
    const BOB: Guid = [2; 16];

    #[test]
    fn requests_are_counted_over_five_minutes() {
        let throttle = Arc::new(Throttle::default());
        for i in 0..6000 {
            let entered = throttle.enter(ANN, i).map(|(_, left)| left);
            assert_eq!(entered.ok(), Some(5999 - i as usize));
        }
        let wait = |user, now| throttle.enter(user, now).err().map(|w| (w.code, w.seconds));
        assert_eq!(wait(ANN, 100_000_000), Some((TOO_MANY_REQUESTS, 201)));
        assert_eq!(wait(BOB, 100_000_000), None, "users are counted apart");
        assert_eq!(wait(ANN, WINDOW - 1), Some((TOO_MANY_REQUESTS, 1)));
        assert_eq!(wait(ANN, WINDOW), None, "the first has left the window");
        assert_eq!(wait(ANN, WINDOW), Some((TOO_MANY_REQUESTS, 1)));
    }

    #[test]
    fn requests_at_once_are_counted_until_they_end() {
        let throttle = Arc::new(Throttle::default());
        let mut open: Vec<_> = (0..52).map(|_| throttle.enter(ANN, 0).ok()).collect();
        let code = |user| throttle.enter(user, 0).err().map(|wait| wait.code);
        assert_eq!((code(ANN), code(BOB)), (Some(TOO_MANY_AT_ONCE), None));
        open.pop();
        assert_eq!(code(ANN), None);
    }
}
