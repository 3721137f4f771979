//! Functions that belong to no table: who the caller is, the version, the
//! organization, how many rows tables have.

use axum::http::StatusCode;
use axum::response::Response;

use super::answer::json;
use super::error::{Failure, Result};
use super::object::Object;
use super::query::{Options, finish};
use super::request::Call;
use super::resource::split;
use crate::encode::json_text;
use crate::error::{Error, Place, codes};
use crate::identity;
use crate::service::Service;
use crate::value::guid_text;

/// The Dataverse version whose Web API this follows.
const VERSION: &str = "9.2.0.0";
/// English, the language of all labels.
const LANGUAGE: &str = "1033";

type Function = fn(&Service, &Arguments, Object) -> Result<Object>;

/// The functions by their names.
const FUNCTIONS: [(&str, Function); 5] = [
    ("WhoAmI", who_am_i),
    ("RetrieveVersion", retrieve_version),
    ("RetrieveCurrentOrganization", current_organization),
    ("RetrieveTotalRecordCount", total_record_count),
    ("RetrieveAvailableLanguages", available_languages),
];

/// What a function is called with.
struct Arguments<'a> {
    call: &'a Call,
    given: Vec<(String, String)>,
}

/// Whether a function has this name.
pub fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, _)| *known == name)
}

/// `GET Name`, `GET Name(parameter=value)`, `GET Name(parameter=@p)?@p=value`.
pub fn answer(
    service: &Service,
    call: &Call,
    name: &str,
    parameters: Option<&str>,
) -> Result<Response> {
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    let (name, function) = found.ok_or_else(|| Error::internal("a function without a row"))?;
    let arguments = Arguments { call, given: arguments(name, parameters, &call.options()?)? };
    let context = format!("#Microsoft.Dynamics.CRM.{name}Response");
    let body = function(service, &arguments, Object::of(call, &context))?;
    let mut response = json(StatusCode::OK, body.close());
    finish(call, false, &mut response);
    Ok(response)
}

/// The arguments of a call, aliases replaced by their values.
fn arguments(
    function: &str,
    parameters: Option<&str>,
    options: &Options,
) -> Result<Vec<(String, String)>> {
    let mut given = Vec::new();
    for parameter in split(parameters.unwrap_or_default(), ',') {
        if parameter.trim().is_empty() {
            continue;
        }
        let (name, value) = parameter.split_once('=').ok_or_else(|| {
            let message = format!("'{parameter}' is not a parameter; write {function}(name=value)");
            Error::invalid(codes::ODATA, message)
        })?;
        let value = value.trim();
        let alias = value.starts_with('@').then(|| options.iter().find(|(n, _)| n == value));
        let value = match alias {
            // An alias without a value is null.
            Some(found) => found.map_or("null", |(_, value)| value.trim()),
            None => value,
        };
        given.push((name.trim().to_owned(), value.to_owned()));
    }
    Ok(given)
}

impl Arguments<'_> {
    /// A required parameter.
    fn required(&self, function: &str, name: &str) -> Result<&str> {
        let found = self.given.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        found.filter(|value| *value != "null").ok_or_else(|| {
            let message = format!("the parameter '{name}' is missing");
            Error::invalid(codes::INVALID_ARGUMENT, message).at(Place::Part(function.into())).into()
        })
    }
}

fn who_am_i(_: &Service, arguments: &Arguments, mut body: Object) -> Result<Object> {
    let caller = &arguments.call.caller;
    body.text("BusinessUnitId", &guid_text(&caller.business_unit));
    body.text("UserId", &guid_text(&caller.user));
    body.text("OrganizationId", &guid_text(&identity::ORGANIZATION));
    Ok(body)
}

fn retrieve_version(_: &Service, _: &Arguments, mut body: Object) -> Result<Object> {
    body.text("Version", VERSION);
    Ok(body)
}

fn available_languages(_: &Service, _: &Arguments, mut body: Object) -> Result<Object> {
    body.raw("LocaleIds", format!("[{LANGUAGE}]"));
    Ok(body)
}

fn current_organization(_: &Service, arguments: &Arguments, mut body: Object) -> Result<Object> {
    let access = arguments.required("RetrieveCurrentOrganization", "AccessType")?;
    let access = access.rsplit_once("EndpointAccessType").map_or(access, |(_, value)| value);
    if !matches!(access.trim_matches('\''), "Default" | "Internet" | "Intranet") {
        let message =
            format!("{access} is no AccessType; there are Default, Internet and Intranet");
        return Err(Error::invalid(codes::INVALID_ARGUMENT, message).into());
    }
    let base = &arguments.call.base;
    let root = base.split("/api/data/").next().unwrap_or(base);
    let mut endpoints = Object::new();
    endpoints.raw("Count", "2");
    endpoints.raw("IsReadOnly", "false");
    endpoints.raw("Keys", r#"["WebApplication","OrganizationDataService"]"#);
    endpoints.raw("Values", texts([format!("{root}/").as_str(), base.as_str()]));
    let mut detail = Object::new();
    let id = guid_text(&identity::ORGANIZATION);
    for (name, value) in [
        ("OrganizationId", id.as_str()),
        ("FriendlyName", "sysjob"),
        ("OrganizationVersion", VERSION),
        ("EnvironmentId", &id),
        ("UrlName", "sysjob"),
        ("UniqueName", "sysjob"),
        ("State", "Enabled"),
    ] {
        detail.text(name, value);
    }
    detail.raw("Endpoints", endpoints.close());
    body.raw("Detail", detail.close());
    Ok(body)
}

/// The rows of tables. Dataverse answers from a daily snapshot, this from the
/// last commit.
fn total_record_count(
    service: &Service,
    arguments: &Arguments,
    mut body: Object,
) -> Result<Object> {
    const NAME: &str = "RetrieveTotalRecordCount";
    let names = names(arguments.required(NAME, "EntityNames")?)?;
    let (catalog, snapshot) = (service.store.catalog(), service.store.snapshot());
    let mut counts = Vec::new();
    for name in &names {
        let table = catalog.table_index(name).ok_or_else(|| {
            let known = catalog.nearest_table(name);
            let hint = known.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
            let message = format!("table '{name}' does not exist{hint}");
            Failure::from(
                Error::invalid(codes::UNKNOWN_ENTITY, message).at(Place::Part(NAME.into())),
            )
        })?;
        counts.push(snapshot.rows(table).to_string());
    }
    let mut collection = Object::new();
    collection.raw("Count", names.len().to_string());
    collection.raw("IsReadOnly", "false");
    collection.raw("Keys", texts(names.iter().map(String::as_str)));
    collection.raw("Values", format!("[{}]", counts.join(",")));
    body.raw("EntityRecordCountCollection", collection.close());
    Ok(body)
}

/// `['a','b']`, with either kind of quotes.
fn names(list: &str) -> Result<Vec<String>> {
    let broken = || {
        let message = format!("EntityNames is a list such as ['asyncoperation'], not {list}");
        Failure::from(Error::invalid(codes::INVALID_ARGUMENT, message))
    };
    let inner = list.strip_prefix('[').and_then(|l| l.strip_suffix(']')).ok_or_else(broken)?;
    let mut names = Vec::new();
    for item in inner.split(',').map(str::trim).filter(|_| !inner.trim().is_empty()) {
        let quoted = ['\'', '"']
            .into_iter()
            .find_map(|quote| item.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)));
        names.push(quoted.ok_or_else(broken)?.to_owned());
    }
    Ok(names)
}

/// A JSON list of texts.
fn texts<'t>(items: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
    let mut list = b"[".to_vec();
    for item in items {
        if list.len() > 1 {
            list.push(b',');
        }
        json_text(item, &mut list);
    }
    list.push(b']');
    list
}
