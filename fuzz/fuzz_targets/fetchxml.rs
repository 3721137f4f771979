//! No text makes the FetchXML parser or the binder panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sysjob::catalog::Catalog;
use sysjob::dialect::fetchxml;
use sysjob::query::bind::{BindOptions, bind};

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::built_in);

fuzz_target!(|text: &str| {
    if let Ok(select) = fetchxml::parse(text) {
        // A refusal is as good as an answer.
        let _ = bind(&select, &CATALOG, &BindOptions::default());
    }
});
