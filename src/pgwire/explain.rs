//! `EXPLAIN (option, …)`: the options, which T-SQL's grammar does not know, taken
//! out of a text whose positions stay as they are.

use std::borrow::Cow;

use pgwire::error::PgWireResult;

use super::error::{plain, state};
use super::scan::{self, Kind, Token};

/// Options that change nothing about a plan that is shown as text.
const IGNORED: &[&str] = &[
    "buffers",
    "costs",
    "generic_plan",
    "memory",
    "settings",
    "summary",
    "timing",
    "verbose",
    "wal",
];

/// The text without the options of its `EXPLAIN`s; `ANALYZE` and `FORMAT JSON` stay as words.
pub fn without_options(text: &str) -> PgWireResult<Cow<'_, str>> {
    let mut plainer = Cow::Borrowed(text);
    for tokens in scan::statements(text) {
        let Some(close) = options(&tokens) else { continue };
        let words = read(&tokens[2..close])?;
        let (start, end) = (tokens[1].start, tokens[close].end());
        plainer.to_mut().replace_range(start..end, &blank(&text[start..end], words));
    }
    Ok(plainer)
}

/// As many bytes and lines as the options had, with words in front.
fn blank(options: &str, word: &str) -> String {
    let mut out = word.to_owned();
    let rest = options.char_indices().filter(|(at, _)| *at >= word.len());
    for (_, c) in rest {
        match c {
            '\n' => out.push('\n'),
            c => out.extend(std::iter::repeat_n(' ', c.len_utf8())),
        }
    }
    out
}

/// Where the options end, if there are some.
fn options(tokens: &[Token<'_>]) -> Option<usize> {
    let [first, open, next, ..] = tokens else { return None };
    let query = next.is("select") || next.is("with") || next.is_symbol("(");
    if !first.is("explain") || !open.is_symbol("(") || query {
        return None;
    }
    tokens.iter().position(|token| token.is_symbol(")"))
}

/// The options that mean something, as words.
fn read(tokens: &[Token<'_>]) -> PgWireResult<&'static str> {
    let (mut analyze, mut json) = (false, false);
    for option in tokens.split(|token| token.is_symbol(",")) {
        let Some((name, value)) = option.split_first() else { continue };
        let value = value.first().map(|token| token.value().to_lowercase());
        let on = !matches!(value.as_deref(), Some("off" | "false" | "0" | "none"));
        match name.value().as_str() {
            "analyze" => analyze = on,
            "format" if value.as_deref() == Some("text") => json = false,
            "format" if value.as_deref() == Some("json") => json = true,
            "format" => {
                let message = "EXPLAIN shows plans as text or JSON only";
                return Err(plain(state::NOT_SUPPORTED, message));
            }
            known if name.kind == Kind::Word && IGNORED.contains(&known) => {}
            other => {
                let message = format!("unrecognized EXPLAIN option \"{other}\"");
                return Err(plain(state::SYNTAX, message));
            }
        }
    }
    Ok(match (analyze, json) {
        (false, false) => "",
        (true, false) => " ANALYZE",
        (false, true) => " FORMAT JSON",
        (true, true) => " ANALYZE FORMAT JSON",
    })
}

#[cfg(test)]
mod tests {
    use pgwire::error::ErrorInfo;

    use super::*;

    #[test]
    #[expect(clippy::result_large_err, reason = "pgwire's own error")]
    fn options_go_and_places_stay() {
        let read = |text| without_options(text).map(Cow::into_owned).map_err(ErrorInfo::from);
        let text = "SELECT 1; EXPLAIN (ANALYZE, BUFFERS, COSTS off) SELECT 2";
        let found = read(text).expect("known options");
        assert_eq!(found.find("SELECT 2"), text.find("SELECT 2"));
        assert!(found.contains("EXPLAIN  ANALYZE  "), "{found}");
        let plainer = read("EXPLAIN (FORMAT TEXT,\n ANALYZE false) SELECT 1").expect("known");
        assert_eq!(plainer.split_whitespace().collect::<Vec<_>>(), ["EXPLAIN", "SELECT", "1"]);
        assert_eq!(plainer.lines().count(), 2);
        for same in ["EXPLAIN (SELECT 1)", "EXPLAIN ANALYZE SELECT (1)", "SELECT (1)"] {
            assert_eq!(read(same).expect("nothing to read"), same);
        }
        let json = read("EXPLAIN (FORMAT JSON, ANALYZE) SELECT 1").expect("known");
        assert_eq!(json, "EXPLAIN  ANALYZE FORMAT JSON   SELECT 1");
        assert_eq!(read("EXPLAIN (FORMAT XML) SELECT 1").expect_err("refused").code, "0A000");
        assert_eq!(read("EXPLAIN (FASTER) SELECT 1").expect_err("refused").code, "42601");
    }
}
