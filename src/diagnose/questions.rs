//! The questions of `queries/`, built into the binary, in the order in which a
//! diagnosis shows them.

/// A question in the dialects that can ask it, with how to read the answer.
pub struct Question {
    /// The name of its folder.
    pub name: &'static str,
    /// What it asks, and on the second line how to read the answer.
    pub about: &'static str,
    pub sql: &'static str,
    pub fetchxml: Option<&'static str>,
    pub odata: Option<&'static str>,
}

impl Question {
    /// What the question asks, in one sentence.
    pub fn title(&self) -> &'static str {
        self.about.lines().next().unwrap_or_default()
    }

    /// How to read the answer.
    pub fn reading(&self) -> &'static str {
        self.about.lines().nth(1).unwrap_or_default()
    }
}

macro_rules! question {
    ($name:literal) => {
        Question {
            name: $name,
            about: include_str!(concat!("../../queries/", $name, "/README.md")),
            sql: include_str!(concat!("../../queries/", $name, "/query.sql")),
            fetchxml: Some(include_str!(concat!("../../queries/", $name, "/fetch.xml"))),
            odata: Some(include_str!(concat!("../../queries/", $name, "/odata.txt"))),
        }
    };
    ($name:literal, sql only) => {
        Question {
            name: $name,
            about: include_str!(concat!("../../queries/", $name, "/README.md")),
            sql: include_str!(concat!("../../queries/", $name, "/query.sql")),
            fetchxml: None,
            odata: None,
        }
    };
}

/// The eight documented diagnostics.
pub const DOCUMENTED: [Question; 8] = [
    question!("jobs-by-state-status-type"),
    question!("suspended-jobs"),
    question!("workflows"),
    question!("waiting-for-resources"),
    question!("file-storage-count"),
    question!("not-in-blob-storage"),
    question!("names-using-file-storage"),
    question!("file-size-and-record-count"),
];

/// What an administrator asks next.
pub const FURTHER: [Question; 4] = [
    question!("oldest-waiting-job"),
    question!("long-running-jobs", sql only),
    question!("failure-rate-by-type", sql only),
    question!("duration-by-type", sql only),
];
