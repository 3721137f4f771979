//! Waits for a future on a thread that may block, wherever it is called from.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use tokio::task::coop::unconstrained;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What a future comes to. Unlike the executors of `futures` and `tokio` it may be
/// called while another one runs on the thread, as a plan does that reads a chunk.
pub fn wait<F: Future>(future: F) -> F::Output {
    // tokio gives a task so many steps and then lets all its futures wait until the task
    // gives way. A caller that is one cannot, and would wait for ever.
    let mut future = pin!(unconstrained(future));
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_task_may_wait_as_often_as_it_likes() {
        for n in 0..1_000 {
            let answer = wait(tokio::task::spawn_blocking(move || n));
            assert_eq!(answer.expect("it ends"), n);
        }
    }
}
