//! The house rules, checked on the text of the sources.
//!
//! A rule that stops fitting is changed here and in ARCHITECTURE.md, together
//! with the code that needs it.

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 700;

/// The modules of the crate, lowest layer first, and what each may import. Of
/// `engine::functions` a module may know that part of the engine only.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("value", &[]),
    ("clock", &[]),
    ("priority", &[]),
    ("identity", &["value"]),
    ("tls", &["clock", "error"]),
    ("credentials", &["error", "identity", "value"]),
    ("catalog", &["error", "value"]),
    ("job", &["catalog", "error", "value"]),
    ("webhook", &["error", "job", "tls"]),
    ("query", &["catalog", "error", "identity", "value"]),
    ("store", &["catalog", "error", "job", "priority", "value"]),
    ("relations", &["identity", "query", "store", "value"]),
    ("messages", &["catalog", "error", "identity", "store", "value"]),
    ("events", &["catalog", "identity", "job", "store", "value"]),
    ("engine", &["catalog", "error", "job", "query", "store", "value"]),
    ("dialect", &["catalog", "engine::functions", "error", "query", "value"]),
    ("encode", &["catalog", "error", "query", "value"]),
    ("import", &["catalog", "error", "store", "value"]),
    ("scheduler", &["catalog", "clock", "error", "identity", "job", "store", "value"]),
    ("write", &["catalog", "error", "events", "identity", "job", "scheduler", "store", "value"]),
    ("script", &["dialect", "engine", "error", "store", "value"]),
    ("ask", &["dialect", "engine", "error", "query", "script", "store"]),
    ("translate", &["ask", "catalog", "dialect", "engine", "error", "query", "store", "value"]),
    ("diagnose", &["ask", "dialect", "encode", "engine", "error", "query", "store"]),
    (
        "service",
        &["clock", "credentials", "engine", "identity", "query", "relations", "scheduler", "store"],
    ),
    (
        "bulk_action",
        &[
            "ask",
            "catalog",
            "dialect",
            "engine",
            "error",
            "events",
            "identity",
            "job",
            "query",
            "scheduler",
            "service",
            "store",
            "value",
            "write",
        ],
    ),
    (
        "bulk_delete",
        &[
            "catalog",
            "dialect",
            "engine",
            "error",
            "identity",
            "job",
            "query",
            "scheduler",
            "service",
            "store",
            "value",
            "write",
        ],
    ),
    (
        "duplicates",
        &[
            "bulk_delete",
            "catalog",
            "dialect",
            "engine",
            "error",
            "identity",
            "job",
            "query",
            "scheduler",
            "service",
            "store",
            "value",
        ],
    ),
    (
        "handlers",
        &[
            "bulk_action",
            "bulk_delete",
            "catalog",
            "duplicates",
            "error",
            "events",
            "identity",
            "job",
            "scheduler",
            "service",
            "store",
            "value",
            "webhook",
            "write",
        ],
    ),
    ("config", &["catalog", "error", "handlers", "job", "scheduler"]),
    (
        "http",
        &[
            "ask",
            "bulk_action",
            "bulk_delete",
            "catalog",
            "credentials",
            "diagnose",
            "dialect",
            "duplicates",
            "encode",
            "engine",
            "error",
            "events",
            "handlers",
            "identity",
            "job",
            "query",
            "scheduler",
            "service",
            "store",
            "tls",
            "translate",
            "value",
            "write",
        ],
    ),
    (
        "pgwire",
        &[
            "catalog",
            "clock",
            "credentials",
            "dialect",
            "engine",
            "error",
            "script",
            "service",
            "store",
            "tls",
            "value",
        ],
    ),
    (
        "cli",
        &[
            "ask",
            "catalog",
            "clock",
            "config",
            "credentials",
            "diagnose",
            "dialect",
            "encode",
            "engine",
            "error",
            "handlers",
            "http",
            "identity",
            "import",
            "job",
            "messages",
            "pgwire",
            "priority",
            "query",
            "relations",
            "scheduler",
            "service",
            "store",
            "tls",
            "translate",
            "value",
        ],
    ),
];

/// Words that may stand only below some paths, and why.
const CONFINED: &[(&[&str], &[&str], &str)] = &[
    (&["fjall::"], &["src/store/journal.rs"], "the journal alone knows how it is kept"),
    (&["axum::"], &["src/http/"], "HTTP is the business of one module"),
    (
        &[
            "datafusion::logical_expr",
            "datafusion::optimizer",
            "datafusion::physical_expr",
            "datafusion::physical_plan",
            "datafusion::prelude",
        ],
        &["src/engine/", "src/pgwire/", "src/ask.rs", "src/script/"],
        "plans are made and read in few places",
    ),
    (
        &["datafusion::sql::"],
        &["src/engine/", "src/dialect/tsql/", "src/pgwire/", "src/script/"],
        "only T-SQL is carried as a syntax tree of DataFusion's parser",
    ),
    (&["reqwest::"], &["src/webhook/"], "requests to others are sent in one place"),
    (
        &["SystemTime::now", "Instant::now", "Utc::now", "Local::now"],
        &["src/clock.rs", "src/cli/"],
        "time comes in through the clock",
    ),
    (&[".unwrap()"], &[], "return the error, or say with expect why it cannot be"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The Rust files below a folder, sorted, with their paths from the root.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path: PathBuf = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).expect("below the root");
                files.push((name.to_string_lossy().into_owned(), text(&path)));
            }
        }
    }
    files.sort();
    files
}

/// What is built into the program: no files of tests, no test module at the end
/// of a file, no comments. Lines keep their numbers.
fn program() -> Vec<(String, String)> {
    let is_test = |name: &str| name.ends_with("/tests.rs") || name.contains("/tests/");
    let files = rust_files("src").into_iter().filter(|(name, _)| !is_test(name));
    files
        .map(|(name, text)| {
            let tests = text.match_indices("\n#[cfg(test)]\nmod ").find_map(|(at, before)| {
                let rest = text[at + before.len()..].lines().next()?;
                rest.ends_with('{').then_some(at)
            });
            let code: String = text[..tests.unwrap_or(text.len())]
                .lines()
                .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
                .flat_map(|line| [line, "\n"])
                .collect();
            (name, code)
        })
        .collect()
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[test]
fn files_say_what_they_are_for_and_are_short() {
    let mut problems = Vec::new();
    let sources = rust_files("src");
    assert!(!sources.is_empty());
    for (name, text) in &sources {
        if !text.starts_with("//! ") {
            problems.push(format!("{name}: opens without a `//!` comment"));
        }
    }
    for (name, text) in sources.iter().chain(&rust_files("tests")).chain(&rust_files("benches")) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{name}: {lines} lines, of at most {LINES_MAX}"));
        }
    }
    report(&problems);
}

/// The paths below the crate that a text names, with their places: `a::b` for
/// `crate::a::b::C` and for `use crate::{a::b::C, …}`.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        // `$crate::` in a macro, or the end of a longer word.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + word.len()..];
        match rest.strip_prefix('{') {
            None => paths.push((at, two_segments(rest))),
            Some(list) => {
                let mut depth = 0;
                let mut start = 0;
                for (i, c) in list.char_indices() {
                    let end = c == '}' && depth == 0;
                    if end || (c == ',' && depth == 0) {
                        let item = list[start..i].trim();
                        if !item.is_empty() {
                            paths.push((at, two_segments(item)));
                        }
                        start = i + 1;
                    }
                    match c {
                        _ if end => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        _ => {}
                    }
                }
            }
        }
    }
    paths
}

fn two_segments(path: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let segments = path.split("::").map(|s| s.split(|c| !is_word(c)).next().unwrap_or_default());
    segments.take(2).collect::<Vec<_>>().join("::")
}

#[test]
fn imports_point_down() {
    let mut problems = Vec::new();
    for (i, (module, allowed)) in LAYERS.iter().enumerate() {
        for import in *allowed {
            let name = import.split("::").next().unwrap_or(import);
            if !LAYERS[..i].iter().any(|(lower, _)| *lower == name) {
                problems.push(format!("'{module}' may import '{import}', which is not below it"));
            }
        }
    }
    for (name, code) in program() {
        let module = name.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == module) else {
            problems.push(format!("{name}: the module '{module}' has no place among the layers"));
            continue;
        };
        for (at, path) in crate_paths(&code) {
            let first = path.split("::").next().unwrap_or_default();
            let fine = first == module || allowed.iter().any(|a| *a == first || *a == path);
            if !fine {
                let line = line_of(&code, at);
                problems.push(format!("{name}:{line}: '{module}' may not import '{path}'"));
            }
        }
    }
    report(&problems);
}

#[test]
fn some_words_stand_in_few_places() {
    let mut problems = Vec::new();
    for (name, code) in program() {
        for (words, places, why) in CONFINED {
            if places.iter().any(|place| name.starts_with(place)) {
                continue;
            }
            for word in *words {
                for (at, _) in code.match_indices(word) {
                    problems.push(format!("{name}:{}: '{word}': {why}", line_of(&code, at)));
                }
            }
        }
    }
    report(&problems);
}

#[test]
fn paths_in_the_documents_exist() {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let folders = ["src/", "queries/", "tests/", "data/", "benches/"];
    let mut problems = Vec::new();
    let mut seen = 0;
    for document in ["README.md", "ARCHITECTURE.md"] {
        for (i, line) in text(&root().join(document)).lines().enumerate() {
            for word in line.split(|c| !is_path(c)) {
                let path = word.trim_end_matches('.');
                if folders.iter().any(|folder| path.starts_with(folder)) {
                    seen += 1;
                    if !root().join(path).exists() {
                        problems.push(format!("{document}:{}: '{path}' does not exist", i + 1));
                    }
                }
            }
        }
    }
    assert!(seen > 0, "the documents name no file");
    report(&problems);
}

/// The continuous check runs the test command that the README gives.
#[test]
fn the_readme_names_the_commands() {
    let readme = text(&root().join("README.md"));
    for command in ["cargo run --release -- demo", "cargo test"] {
        assert!(readme.lines().any(|line| line == command), "README.md: no line '{command}'");
    }
}

#[test]
fn the_checks_read_imports_right() {
    let code = "use crate::store::Snapshot;\nuse crate::{http, pgwire::{a, b},\n    cli};\n\
                let x = crate::value::parse(1); $crate::no!(); pub(crate) fn f() {}";
    let paths: Vec<String> = crate_paths(code).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["store::Snapshot", "http", "pgwire::", "cli", "value::parse"]);
}
