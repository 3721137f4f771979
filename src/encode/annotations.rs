//! Which annotations a Web API client wants: the value of the preference
//! `odata.include-annotations`.

/// The annotation terms that answers can carry.
pub mod terms {
    pub const FORMATTED_VALUE: &str = "OData.Community.Display.V1.FormattedValue";
    pub const ATTRIBUTE_NAME: &str = "OData.Community.Display.V1.AttributeName";
    pub const LOOKUP_LOGICAL_NAME: &str = "Microsoft.Dynamics.CRM.lookuplogicalname";
    pub const ASSOCIATED_NAVIGATION_PROPERTY: &str =
        "Microsoft.Dynamics.CRM.associatednavigationproperty";
    pub const TOTAL_RECORD_COUNT: &str = "Microsoft.Dynamics.CRM.totalrecordcount";
    pub const TOTAL_RECORD_COUNT_LIMIT_EXCEEDED: &str =
        "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded";
    pub const MORE_RECORDS: &str = "Microsoft.Dynamics.CRM.morerecords";
    pub const PAGING_COOKIE: &str = "Microsoft.Dynamics.CRM.fetchxmlpagingcookie";
}

/// A set of annotation terms: names and prefixes with `*`, each in or out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    exclude: bool,
    /// Ends before the `*` of a wildcard.
    text: String,
    wildcard: bool,
}

impl Annotations {
    /// Reads the preference's value, without its quotes.
    pub fn parse(list: &str) -> Self {
        let patterns = list.split(',').map(str::trim).filter(|p| !p.is_empty()).map(|pattern| {
            let (exclude, name) = pattern.strip_prefix('-').map_or((false, pattern), |p| (true, p));
            match name.strip_suffix('*') {
                Some(prefix) => Pattern { exclude, text: prefix.to_owned(), wildcard: true },
                None => Pattern { exclude, text: name.to_owned(), wildcard: false },
            }
        });
        Self { patterns: patterns.collect() }
    }

    /// Whether a term is wanted. A name beats a wildcard and a longer prefix a
    /// shorter one; of equals the exclusion holds.
    pub fn wants(&self, term: &str) -> bool {
        self.patterns
            .iter()
            .filter(|p| if p.wildcard { term.starts_with(&p.text) } else { term == p.text })
            .max_by_key(|p| (!p.wildcard, p.text.len(), p.exclude))
            .is_some_and(|p| !p.exclude)
    }

    /// Whether any of the annotations of single values is wanted, for which a
    /// query has to fetch more columns than were asked for.
    pub fn wants_values(&self) -> bool {
        [terms::FORMATTED_VALUE, terms::LOOKUP_LOGICAL_NAME, terms::ASSOCIATED_NAVIGATION_PROPERTY]
            .iter()
            .any(|term| self.wants(term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_decides() {
        assert!(!Annotations::default().wants(terms::FORMATTED_VALUE));
        assert!(Annotations::parse("*").wants(terms::MORE_RECORDS));
        let some = Annotations::parse("OData.Community.*, Microsoft.Dynamics.CRM.morerecords");
        assert!(some.wants(terms::FORMATTED_VALUE) && some.wants(terms::MORE_RECORDS));
        assert!(!some.wants(terms::PAGING_COOKIE));
        let but =
            Annotations::parse("*,-Microsoft.Dynamics.CRM.*,Microsoft.Dynamics.CRM.morerecords");
        assert!(but.wants(terms::FORMATTED_VALUE) && but.wants(terms::MORE_RECORDS));
        assert!(!but.wants(terms::LOOKUP_LOGICAL_NAME));
        assert!(!Annotations::parse("*,-*").wants(terms::MORE_RECORDS));
    }
}
