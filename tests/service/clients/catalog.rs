//! What tools ask about tables when they connect, as far as they cannot be run
//! here: their questions are in `catalog_queries/`, one file a family.
//!
//! A file holds blocks: `-- title`, statements that each end with `;` at the end
//! of a line, and lines `--> text` with what has to be among the rows.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::here;
use super::sql::connect;
use crate::support::Service;

struct Block {
    title: String,
    statements: Vec<String>,
    expected: Vec<String>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut all: Vec<Block> = Vec::new();
    let mut statement = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("-- ") {
            let title = title.to_owned();
            all.push(Block { title, statements: Vec::new(), expected: Vec::new() });
            continue;
        }
        let block = all.last_mut().expect("a title comes first");
        if let Some(expected) = line.strip_prefix("--> ") {
            block.expected.push(expected.to_owned());
            continue;
        }
        statement.push_str(line);
        statement.push('\n');
        if line.ends_with(';') {
            block.statements.push(std::mem::take(&mut statement));
        }
    }
    all
}

/// The rows of a simple query as text, a line each.
async fn asked(client: &Client, statement: &str) -> Result<String, tokio_postgres::Error> {
    let mut out = String::new();
    for message in client.simple_query(statement).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let cells = (0..row.len()).map(|at| row.get(at).unwrap_or_default());
            out.push_str(&cells.collect::<Vec<_>>().join("|"));
            out.push('\n');
        }
    }
    Ok(out)
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_questions_are_answered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &[]);
    let client = connect(&service).await;
    let mut wrong = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(here("tests/service/clients/catalog_queries"))
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        for Block { title, statements, expected } in blocks(&text) {
            let mut rows = String::new();
            for statement in &statements {
                match asked(&client, statement).await {
                    Ok(answer) => rows.push_str(&answer),
                    Err(error) => wrong.push(format!("{title}: {error:?}\n{statement}")),
                }
                if let Err(error) = client.query(statement, &[]).await {
                    wrong.push(format!("{title}, extended: {error:?}\n{statement}"));
                }
            }
            for expected in expected.iter().filter(|text| !rows.contains(text.as_str())) {
                let start: String = rows.chars().take(2000).collect();
                wrong.push(format!("{title}: no '{expected}' in\n{start}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    drop(client);
    assert_eq!(service.terminate(), Some(0));
}
