//! Object type codes of tables: the integers behind columns such as
//! `regardingobjecttypecode`.
//!
//! Served tables have their documented code. Jobs also regard tables that
//! sysjob does not serve; the standard ones among them are listed here, and any
//! other name gets a code of its own above [`FIRST_DERIVED`], which the journal
//! writes down before a row with it is acknowledged.

use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::RwLock;

use super::Catalog;

/// Dataverse numbers an organization's own tables from 10,000 up; codes made
/// here stay clear of those.
pub(super) const FIRST_DERIVED: i32 = 1_000_000_000;

/// Standard tables beyond the catalog, from Microsoft's table reference.
const STANDARD: &[(&str, i32)] = &[
    ("opportunity", 3),
    ("lead", 4),
    ("annotation", 5),
    ("subscription", 29),
    ("incident", 112),
    ("competitor", 123),
    ("product", 1024),
    ("contract", 1010),
    ("queue", 2020),
    ("email", 4202),
    ("fax", 4204),
    ("letter", 4207),
    ("phonecall", 4210),
    ("task", 4212),
    ("appointment", 4201),
    ("activitypointer", 4200),
    ("recurringappointmentmaster", 4251),
    ("list", 4300),
    ("campaign", 4400),
    ("campaignactivity", 4402),
    ("campaignresponse", 4401),
    ("plugintype", 4602),
    ("pluginassembly", 4605),
    ("quote", 1084),
    ("salesorder", 1088),
    ("invoice", 1090),
    ("knowledgearticle", 9953),
    ("goal", 9600),
    ("savedquery", 1039),
    ("userquery", 4230),
    ("importfile", 4412),
    ("import", 4410),
    ("duplicaterule", 4414),
    ("role", 1036),
];

struct Names {
    code: HashMap<String, i32>,
    name: HashMap<i32, String>,
    /// In the order they were met.
    derived: Vec<(i32, String)>,
}

static NAMES: LazyLock<RwLock<Names>> = LazyLock::new(|| {
    let catalog = Catalog::built_in();
    let mut names = Names { code: HashMap::new(), name: HashMap::new(), derived: Vec::new() };
    let served = catalog.tables().iter().map(|t| (t.logical_name.as_str(), t.object_type_code));
    for (name, code) in served.chain(STANDARD.iter().copied()) {
        names.code.insert(name.to_owned(), code);
        names.name.insert(code, name.to_owned());
    }
    RwLock::new(names)
});

/// The object type code of a table's logical name. A name nobody knows gets a
/// code derived from its text.
pub fn entity_code(name: &str) -> i32 {
    let name = name.to_lowercase();
    if let Some(code) = NAMES.read().code.get(&name) {
        return *code;
    }
    let mut names = NAMES.write();
    let mut code = derived_code(&name);
    while names.name.get(&code).is_some_and(|taken| *taken != name) {
        code = code.wrapping_add(1).max(FIRST_DERIVED);
    }
    names.derive(&name, code);
    code
}

/// The object type code of a name in a query: of a name that nobody has met it is
/// a code that no row has, and nothing is remembered.
pub fn entity_code_or_none(name: &str) -> i32 {
    const NONE: i32 = -1;
    NAMES.read().code.get(&name.to_lowercase()).copied().unwrap_or(NONE)
}

/// Takes over a code that an earlier process wrote down. A table that the
/// catalog has keeps the catalog's code; the other one is understood too. `false`
/// if the code is that of another table.
#[must_use]
pub fn register_entity_name(name: &str, code: i32) -> bool {
    let mut names = NAMES.write();
    if let Some(known) = names.name.get(&code) {
        return known == name;
    }
    names.name.insert(code, name.to_owned());
    names.code.entry(name.to_owned()).or_insert(code);
    names.derived.push((code, name.to_owned()));
    true
}

/// Gives a table of a catalog file its code. The pair is written down like a
/// derived one, so that rows are understood when the file is missing.
pub(super) fn serve(name: &str, code: i32) {
    let mut names = NAMES.write();
    if names.code.get(name) != Some(&code) {
        names.derive(name, code);
    }
}

/// Codes that tables were once known by, and the codes they have now.
pub fn former_entity_codes() -> HashMap<i32, i32> {
    let names = NAMES.read();
    let now = |(code, name): (&i32, &String)| Some((*code, *names.code.get(name)?));
    names.name.iter().filter_map(now).filter(|(then, now)| then != now).collect()
}

/// The standard table with a code.
pub(super) fn standard(code: i32) -> Option<&'static str> {
    STANDARD.iter().find(|(_, c)| *c == code).map(|(name, _)| *name)
}

/// Whether a name is that of a standard table beyond the catalog.
pub(super) fn is_standard(name: &str) -> bool {
    STANDARD.iter().any(|(n, _)| *n == name)
}

/// Derived codes and their names, in the order they were met, from a position on.
pub fn derived_entity_names(from: usize) -> Vec<(i32, String)> {
    NAMES.read().derived.get(from..).unwrap_or_default().to_vec()
}

impl Names {
    fn derive(&mut self, name: &str, code: i32) {
        self.name.insert(code, name.to_owned());
        self.code.insert(name.to_owned(), code);
        self.derived.push((code, name.to_owned()));
    }
}

/// The logical name behind an object type code, where it is known.
pub fn entity_name(code: i32) -> Option<String> {
    NAMES.read().name.get(&code).cloned()
}

/// FNV-1a over the name, folded into the derived range.
fn derived_code(name: &str) -> i32 {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    FIRST_DERIVED + (hash % 1_000_000_000) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_adds_no_names() {
        assert_eq!(entity_code_or_none("Account"), 1);
        assert_eq!(entity_code_or_none("new_nobody"), -1);
        assert_eq!(entity_code_or_none("new_nobody"), -1);
    }

    #[test]
    fn a_table_that_gets_a_code_is_still_known_by_the_former_one() {
        let derived = entity_code("new_gadget");
        serve("new_gadget", 10_777);
        assert_eq!(entity_code("new_gadget"), 10_777);
        assert_eq!(former_entity_codes().get(&derived), Some(&10_777));
        assert!(register_entity_name("new_gadget", derived), "written down before");
        assert_eq!(entity_code("new_gadget"), 10_777);
        assert_eq!(entity_name(derived).as_deref(), Some("new_gadget"));
        assert!(!register_entity_name("new_other", 10_777), "taken");
        assert!(derived_entity_names(0).contains(&(10_777, "new_gadget".into())));
    }

    #[test]
    fn known_and_unknown_names_go_both_ways() {
        assert_eq!(entity_code("asyncoperation"), 4700);
        assert_eq!(entity_name(4700).as_deref(), Some("asyncoperation"));
        let code = entity_code("new_widget");
        assert!(code >= FIRST_DERIVED);
        assert_eq!(entity_code("New_Widget"), code);
        assert_eq!(entity_name(code).as_deref(), Some("new_widget"));
    }
}
