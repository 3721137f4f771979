//! The `sysjob` command. Arguments are in `cli`; here is only the way out.

use std::process::ExitCode;

fn main() -> ExitCode {
    sysjob::cli::run()
}
