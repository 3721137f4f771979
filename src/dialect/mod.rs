//! The three query languages: text in, `query` forms or a checked T-SQL statement out.

pub mod fetchxml;
pub mod odata;
pub mod query_expression;
pub mod tsql;

/// A query language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sql,
    FetchXml,
    OData,
}

impl Dialect {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sql => "SQL",
            Self::FetchXml => "FetchXML",
            Self::OData => "OData",
        }
    }

    /// The word for it in options and calls.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::FetchXml => "fetchxml",
            Self::OData => "odata",
        }
    }
}

/// Which language a text is written in, judged by how it begins. What is
/// neither XML nor a Web API request is SQL.
pub fn detect(text: &str) -> Dialect {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if is_web_request(text) {
        Dialect::OData
    } else if text.starts_with('<') {
        Dialect::FetchXml
    } else {
        Dialect::Sql
    }
}

fn is_web_request(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("GET") {
        return rest.starts_with(char::is_whitespace);
    }
    if ["http://", "https://", "api/data/", "$", "%24"].iter().any(|p| text.starts_with(p)) {
        return true;
    }
    // A placeholder for the address, which a path follows; XML and bracketed
    // SQL names begin alike.
    for (open, close) in [('<', '>'), ('[', ']')] {
        if text.starts_with(open) {
            return text.split_once(close).is_some_and(|(_, rest)| rest.starts_with("/api/data/"));
        }
    }
    if let Some(rest) = text.strip_prefix('/') {
        // `/*` opens a comment in SQL.
        return !rest.starts_with('*');
    }
    let after = text.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    after.len() < text.len() && after.trim_start().starts_with('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_tells_the_language() {
        for text in [
            "GET [Organization URI]/api/data/v9.2/asyncoperations?$top=1",
            "GET\t/api/data/v9.2/asyncoperations",
            "<organization URL>/api/data/v9.2/asyncoperations?$top=1000\n&$select=\nname",
            "[Organization URI]/api/data/v9.2/asyncoperations?$top=1",
            "https://org.crm.dynamics.com/api/data/v9.2/asyncoperations",
            "/api/data/v9.2/asyncoperations?fetchXml=%3Cfetch%2F%3E",
            "/asyncoperations?$top=1",
            "api/data/v9.1/asyncoperations",
            "\u{feff}  asyncoperations?$top=1",
            "asyncoperations?%24top=1",
            "asyncoperations\n?$top=1",
            "asyncoperations?fetchXml=%3Cfetch%2F%3E",
            "$filter=statecode eq 1",
        ] {
            assert_eq!(detect(text), Dialect::OData, "{text}");
        }
        for text in [
            "<fetch><entity name='asyncoperation'/></fetch>",
            "\n<?xml version='1.0'?><fetch/>",
            "<!-- all --><fetch/>",
            "<fetch",
        ] {
            assert_eq!(detect(text), Dialect::FetchXml, "{text}");
        }
        for text in [
            "SELECT 1",
            "/* all */ SELECT 1",
            "-- all\nSELECT 1",
            "[dbo].[asyncoperation]",
            "GETDATE()",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "select * from asyncoperation where name = '?$top'",
            "",
        ] {
            assert_eq!(detect(text), Dialect::Sql, "{text}");
        }
    }
}
