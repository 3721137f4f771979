//! Which threads come first on a busy machine.

use thread_priority::{ThreadPriority, set_current_thread_priority};

/// Of 99, where 50 is what threads begin with: a niceness of 19 on Linux, by which a
/// thread that is left alone gets about seventy times as much. There are many threads
/// that answer questions, and few others.
const ANSWERING: u8 = 0;

/// A niceness of 5: a third of what others get. What nobody waits for has to be done
/// in the end.
const TIDYING: u8 = 35;

/// Puts this thread, which answers questions, behind those that keep jobs running.
pub fn answering() {
    set(ANSWERING);
}

/// Puts this thread, for whose work nobody waits, behind those that keep jobs running.
pub fn tidying() {
    set(TIDYING);
}

fn set(priority: u8) {
    let priority = priority.try_into().map(ThreadPriority::Crossplatform);
    // Where the system does not allow it all threads count alike, as they do anyway
    // while the machine is not busy.
    let _ = priority.map(set_current_thread_priority);
}
