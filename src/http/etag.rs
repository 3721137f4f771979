//! Entity tags: `W/"version"`, where the version is the row's.

/// The tag of a row version.
pub fn of(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// Whether one of the tags of an `If-Match` or `If-None-Match` header is that of
/// a version. `*` is that of every row. The word `null`, which clients send to
/// get past caches, is none.
pub fn matches(header: &str, version: i64) -> bool {
    header.split(',').map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"').parse() == Ok(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        for (header, same) in [
            ("W/\"7\"", true),
            ("\"7\"", true),
            ("7", true),
            ("W/\"6\", W/\"7\"", true),
            ("*", true),
            ("W/\"6\"", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(matches(header, 7), same, "{header}");
        }
        assert!(matches(&of(-3), -3));
    }
}
