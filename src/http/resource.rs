//! The path below `/api/data/v9.x/` → the resource it names.

use std::sync::Arc;

use super::error::{Failure, Result};
use crate::catalog::{Catalog, Table};
use crate::error::{Error, codes};
use crate::value::{Guid, parse_guid};

/// What a Web API path names.
#[derive(Clone, Debug)]
pub enum Resource {
    ServiceDocument,
    Metadata,
    WhoAmI,
    RetrieveVersion,
    /// `set`
    Collection(Arc<Table>),
    /// `set/$count`
    Count(Arc<Table>),
    /// `set/$query`
    Query(Arc<Table>),
    /// `set(guid)`
    Row(Arc<Table>, Guid),
}

/// Resources of Dataverse that are refused by name rather than as unknown.
const NOT_OFFERED: &[&str] = &[
    "$batch",
    "EntityDefinitions",
    "RelationshipDefinitions",
    "GlobalOptionSetDefinitions",
    "RetrieveMetadataChanges",
    "RetrieveCurrentOrganization",
    "RetrieveTotalRecordCount",
    "BulkDelete",
    "BulkDetectDuplicates",
];

impl Resource {
    /// Reads a decoded path without its leading slash.
    pub fn parse(path: &str, catalog: &Catalog) -> Result<Self> {
        let mut segments = path.trim_end_matches('/').split('/');
        let first = segments.next().unwrap_or_default();
        let rest: Vec<&str> = segments.collect();
        let (name, key) = match first.strip_suffix(')').and_then(|s| s.split_once('(')) {
            Some((name, key)) => (name, Some(key)),
            None => (first, None),
        };
        match (name, key, rest.as_slice()) {
            ("", None, []) => return Ok(Self::ServiceDocument),
            ("$metadata", None, []) => return Ok(Self::Metadata),
            ("WhoAmI", None | Some(""), []) => return Ok(Self::WhoAmI),
            ("RetrieveVersion", None | Some(""), []) => return Ok(Self::RetrieveVersion),
            _ => {}
        }
        if NOT_OFFERED.contains(&name) {
            return Err(Failure::not_implemented(format!("'{name}' is not offered")));
        }
        let table = catalog.entity_set(name).ok_or_else(|| unknown(name, catalog))?.clone();
        match (key, rest.as_slice()) {
            (None, []) => Ok(Self::Collection(table)),
            (None, ["$count"]) => Ok(Self::Count(table)),
            (None, ["$query"]) => Ok(Self::Query(table)),
            (Some(key), []) => row_key(key, &table).map(|id| Self::Row(table, id)),
            (Some(_), [member, ..]) if is_member(member, &table) => Err(Failure::not_implemented(
                format!("the path '{path}' into a row is not offered; use $select or $expand"),
            )),
            (_, [segment, ..]) => Err(Failure::segment(format!(
                "Resource not found for the segment '{segment}' after '{first}'."
            ))),
        }
    }
}

fn unknown(name: &str, catalog: &Catalog) -> Failure {
    let nearest = catalog.nearest_entity_set(name).or_else(|| {
        // Clients often take the logical name of a table for its set.
        catalog.table(name).map(|t| t.entity_set_name.as_str())
    });
    let hint = nearest.map(|n| format!(" Did you mean '{n}'?")).unwrap_or_default();
    Failure::segment(format!("Resource not found for the segment '{name}'.{hint}"))
}

/// `guid` or `primarykey=guid`.
fn row_key(key: &str, table: &Table) -> Result<Guid> {
    let value = match key.split_once('=') {
        None => key,
        Some((name, value)) if name.trim() == table.primary_id => value,
        Some((name, _)) => {
            let (name, set, id) = (name.trim(), &table.entity_set_name, &table.primary_id);
            return Err(Failure::not_implemented(format!(
                "alternate keys are not offered: '{set}' is addressed by '{id}', not by '{name}'"
            )));
        }
    };
    parse_guid(value.trim()).ok_or_else(|| {
        let set = &table.entity_set_name;
        let message = format!("'{key}' is not a GUID; a row is addressed as {set}(<guid>)");
        Error::invalid(codes::ODATA, message).into()
    })
}

/// A property, navigation property or bound operation, as opposed to nonsense.
fn is_member(segment: &str, table: &Table) -> bool {
    let name = segment.split('(').next().unwrap_or_default();
    name.starts_with("Microsoft.Dynamics.CRM.")
        || table.columns.iter().any(|c| c.read && (c.property_name() == name))
        || table.many_to_one.iter().any(|r| r.navigation_property == name)
        || table.one_to_many.iter().any(|r| r.navigation_property == name)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn parse(path: &str) -> Result<Resource> {
        Resource::parse(path, &Catalog::built_in())
    }

    #[test]
    fn paths_name_resources() {
        let id = "6F9619FF-8B86-D011-B42D-00C04FC964FF";
        assert!(matches!(parse(""), Ok(Resource::ServiceDocument)));
        assert!(matches!(parse("WhoAmI()"), Ok(Resource::WhoAmI)));
        assert!(matches!(parse("asyncoperations/"), Ok(Resource::Collection(_))));
        assert!(matches!(parse("asyncoperations/$count"), Ok(Resource::Count(_))));
        for key in [id.to_owned(), id.to_lowercase(), format!("asyncoperationid={id}")] {
            let row = parse(&format!("asyncoperations({key})"));
            let Ok(Resource::Row(table, guid)) = row else { panic!("{key}: {row:?}") };
            assert_eq!(table.logical_name, "asyncoperation");
            assert_eq!(crate::value::guid_text(&guid), id.to_lowercase());
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let id = "(6f9619ff-8b86-d011-b42d-00c04fc964ff)";
        for (path, status, part) in [
            ("asyncoperation", 404, "Did you mean 'asyncoperations'?"),
            ("AsyncOperations", 404, "Did you mean 'asyncoperations'?"),
            ("asyncoperations/x", 404, "segment 'x'"),
            ("asyncoperations(12)", 400, "'12' is not a GUID"),
            ("asyncoperations(name='x')", 501, "not by 'name'"),
            (&format!("asyncoperations{id}/name"), 501, "use $select"),
            (&format!("asyncoperations{id}/nam"), 404, "segment 'nam'"),
            ("$batch", 501, "'$batch' is not offered"),
            ("EntityDefinitions(LogicalName='x')/Attributes", 501, "'EntityDefinitions'"),
        ] {
            let failure = parse(path).expect_err(path);
            assert!(format!("{failure:?}").contains(part), "{path}: {failure:?}");
            assert_eq!(failure.into_response().status().as_u16(), status, "{path}");
        }
    }
}
