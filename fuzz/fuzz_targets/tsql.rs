//! No text makes the T-SQL parser or its name resolution panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sysjob::catalog::Catalog;
use sysjob::dialect::tsql;

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::built_in);

fuzz_target!(|text: &str| {
    // A refusal is as good as an answer.
    let _ = tsql::parse(text, &CATALOG);
});
