//! A progress bar over the bytes of a file, for the command line.

use indicatif::{ProgressBar, ProgressStyle};

use super::Progress;

/// A bar that follows an import; hidden where standard error is no terminal.
pub fn progress_bar(label: impl Into<String>) -> impl FnMut(Progress) {
    let bar = ProgressBar::new(0).with_prefix(label.into());
    let style = "{prefix} {wide_bar} {bytes}/{total_bytes}, {msg} rows, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is well formed"));
    move |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_message(progress.rows.to_string());
        bar.set_position(progress.bytes_read);
        if progress.bytes_read >= progress.bytes_total {
            bar.finish_and_clear();
        }
    }
}
