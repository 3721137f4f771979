//! Which threads come first on a busy machine.

use thread_priority::{ThreadPriority, set_current_thread_priority};

/// Of 99, where 50 is what threads begin with: a niceness of 11 on Linux, by which the
/// threads that are left alone get about ten times as much.
const BACKGROUND: u8 = 20;

/// Puts this thread behind those that keep jobs running.
pub fn background() {
    let priority = BACKGROUND.try_into().map(ThreadPriority::Crossplatform);
    // Where the system does not allow it all threads count alike, as they do anyway
    // while the machine is not busy.
    let _ = priority.map(set_current_thread_priority);
}
