//! Which texts ask about the server rather than about jobs.
//!
//! Clients look up types, tables and settings in PostgreSQL's catalogs before
//! anything else; those texts go to an emulation of them, not to this dialect.

/// Schemas and functions that only PostgreSQL's catalogs answer.
const SYSTEM_WORDS: &[&str] = &[
    "information_schema",
    "version",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_user",
    "session_user",
    "current_catalog",
    "current_role",
    "current_setting",
    "set_config",
    "format_type",
    "to_regclass",
    "to_regtype",
    "regclass",
    "regtype",
    "regproc",
    "regnamespace",
    "obj_description",
    "col_description",
    "shobj_description",
    "quote_ident",
    "array_to_string",
    "txid_current",
    "inet_server_addr",
    "inet_server_port",
    "has_database_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "has_column_privilege",
    "has_function_privilege",
];

/// Whether a text refers to `pg_…` relations or functions, `information_schema`
/// or the server's own state. A cheap look at the words outside of strings and
/// comments; no parse.
pub fn is_system_query(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\'' => i = skip_to(bytes, i + 1, b"'"),
            b'-' if bytes[i..].starts_with(b"--") => i = skip_to(bytes, i, b"\n"),
            b'/' if bytes[i..].starts_with(b"/*") => i = skip_to(bytes, i + 2, b"*/"),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let end = bytes[i..]
                    .iter()
                    .position(|b| !b.is_ascii_alphanumeric() && *b != b'_')
                    .map_or(bytes.len(), |n| i + n);
                if is_system_word(&bytes[i..end]) {
                    return true;
                }
                i = end;
            }
            _ => i += 1,
        }
    }
    false
}

fn is_system_word(word: &[u8]) -> bool {
    word.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"pg_"))
        || SYSTEM_WORDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

/// Past the next `end`, or the end of the text.
fn skip_to(bytes: &[u8], from: usize, end: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(end.len()).position(|w| w == end).map_or(bytes.len(), |n| from + n + end.len())
}

#[cfg(test)]
mod tests {
    use super::is_system_query;

    #[test]
    fn tells_catalog_queries_from_job_queries() {
        for text in [
            "SELECT c.oid FROM pg_catalog.pg_class c",
            "select version()",
            "SELECT 'a'::regclass",
            "/* x */ SELECT * FROM Information_Schema.Tables",
            "SELECT \"pg_class\".relname FROM \"pg_class\"",
        ] {
            assert!(is_system_query(text), "{text}");
        }
        for text in [
            "SELECT name FROM asyncoperation WHERE name = 'pg_catalog' -- pg_class",
            "SELECT name /* version() */ FROM asyncoperation",
            "SELECT versionnumber FROM workflow",
            "SELECT 'unclosed pg_class",
            "",
        ] {
            assert!(!is_system_query(text), "{text}");
        }
    }
}
