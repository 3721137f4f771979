//! The thread that writes to the journal, one batch after the other, while the writer
//! makes the next one.

use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// What is to be written.
type Write = Box<dyn FnOnce() -> Result<()> + Send>;

/// What is called with the outcome.
type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// The thread; it ends with what it was given when this is dropped.
pub struct Flusher {
    writes: Option<mpsc::Sender<(Write, Done)>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    pub fn start() -> Result<Self> {
        let (writes, received) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("sysjob-flusher".into())
            .spawn(move || run(&received))
            .map_err(|e| Error::internal("the flusher thread cannot start").caused_by(e))?;
        Ok(Self { writes: Some(writes), thread: Some(thread) })
    }

    /// Calls back when something is written, after what came before it, or cannot be.
    pub fn begin(
        &self,
        write: impl FnOnce() -> Result<()> + Send + 'static,
        done: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        if let Some(writes) = &self.writes {
            // Whoever waits for what is not taken learns it by what is dropped with it.
            let _ = writes.send((Box::new(write), Box::new(done)));
        }
    }

    /// The same for those who wait.
    pub fn flush(&self, write: impl FnOnce() -> Result<()> + Send + 'static) -> Flushed {
        let (done, outcome) = oneshot::channel();
        self.begin(write, |outcome| {
            // Nobody waits any more when the process ends.
            let _ = done.send(outcome);
        });
        Flushed(outcome)
    }
}

/// The outcome, as soon as there is one.
pub struct Flushed(oneshot::Receiver<Result<()>>);

impl Flushed {
    /// Whoever stops waiting may wait again.
    pub async fn outcome(&mut self) -> Result<()> {
        let ended = |_| Err(Error::internal("the flusher thread has ended in a panic"));
        (&mut self.0).await.unwrap_or_else(ended)
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.writes = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("sysjob: the flusher thread ended with a panic");
        }
    }
}

/// Nothing is written after what could not be: all that follows rests on it.
fn run(writes: &mpsc::Receiver<(Write, Done)>) {
    let mut failed: Option<String> = None;
    for (write, done) in writes {
        let outcome = match &failed {
            None => write(),
            Some(why) => Err(Error::data(why.clone())),
        };
        if let Err(e) = &outcome {
            failed = Some(e.to_string());
        }
        done(outcome);
    }
}
