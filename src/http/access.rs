//! Who a request comes from, and whether they may do what it asks for. This is
//! the only place that knows which role a request takes.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use std::sync::Arc;

use super::error::{Failure, Result};
use super::request::address;
use super::resource::Resource;
use crate::error::{Error, ErrorKind, codes};
use crate::identity::{BUSINESS_UNIT, Caller, Role};
use crate::service::Service;
use crate::value::{Guid, Value, guid_text, parse_guid};

/// What a request is about, as far as roles go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `$batch`: each of its requests is judged by itself.
    Batch,
    /// A question in a body.
    Question,
    /// A system job, or a part of one.
    Job,
    /// The calls below `/sysjob/` that submit, claim, end and change jobs.
    Work,
    /// All rows at once, whoever may see them.
    Backup,
    Other,
}

use Kind::{Backup, Batch, Job, Other, Question, Work};

/// The least role for a method on a kind of resource; the first row that fits
/// decides. No method stands for all.
const ROLES: &[(&[&str], &[Kind], Role)] = &[
    (&["GET", "HEAD", "OPTIONS"], &[Batch, Question, Job, Work, Other], Role::Reader),
    (&["POST"], &[Batch, Question], Role::Reader),
    (&["PATCH", "PUT", "DELETE"], &[Job], Role::Operator),
    (&["POST"], &[Work], Role::Operator),
    (&[], &[Backup, Batch, Question, Job, Work, Other], Role::Administrator),
];

/// Calls below `/sysjob/` that change nothing, whatever their method.
const QUESTIONS: &[&str] = &["query", "explain", "translate", "diagnosis", "forecast"];

/// Answered to anybody: a health check or a token request has no token yet.
const PUBLIC: &[&str] = &["/healthz", "/readyz"];

/// Checks that a caller may send a method to a resource of the Web API.
pub fn check(caller: &Caller, method: &str, resource: &Resource) -> Result<()> {
    let kind = match resource {
        Resource::Batch => Batch,
        Resource::Query(_) => Question,
        Resource::Row(table, _)
        | Resource::Property { table, .. }
        | Resource::Related { table, .. }
            if table.logical_name == "asyncoperation" =>
        {
            Job
        }
        _ => Other,
    };
    allowed(caller, method, kind, || privilege(method, resource))
}

/// Checks a request that is not for the Web API, and tells its handler who it
/// comes from. The Web API checks its own, because some come inside of others.
pub async fn guard(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    let free = PUBLIC.contains(&path) || super::oauth::is_served(path);
    if free || path.starts_with("/api/data/v") {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let judged = caller(&service, &parts).and_then(|caller| {
        let kind = match parts.uri.path().strip_prefix("/sysjob/") {
            Some("backup") => Backup,
            Some(call) if QUESTIONS.contains(&call) => Question,
            Some(_) => Work,
            None => Other,
        };
        let privilege = || "prvWriteAsyncOperation".to_owned();
        allowed(&caller, parts.method.as_str(), kind, privilege).map(|()| caller)
    });
    match judged {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(failure) => failure.into_response(),
    }
}

fn allowed(
    caller: &Caller,
    method: &str,
    kind: Kind,
    privilege: impl FnOnce() -> String,
) -> Result<()> {
    let fits = |(methods, kinds, _): &&(&[&str], &[Kind], Role)| {
        (methods.is_empty() || methods.contains(&method)) && kinds.contains(&kind)
    };
    let least = ROLES.iter().find(fits).map_or(Role::Administrator, |row| row.2);
    if caller.role >= least {
        return Ok(());
    }
    let message = format!(
        "Principal user (Id={}) with the role {} is missing the privilege {}; it takes the role {}",
        guid_text(&caller.user),
        caller.role.name(),
        privilege(),
        least.name()
    );
    Err(Failure::new(StatusCode::FORBIDDEN, missing_privilege(message)))
}

fn missing_privilege(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, codes::PRIVILEGE_DENIED, message)
}

/// The privilege of Dataverse that a change takes.
fn privilege(method: &str, resource: &Resource) -> String {
    match resource {
        Resource::Collection(table) => format!("prvCreate{}", table.schema_name),
        Resource::Row(table, _) if method == "DELETE" => format!("prvDelete{}", table.schema_name),
        Resource::Row(table, _)
        | Resource::Property { table, .. }
        | Resource::Count(table)
        | Resource::Query(table) => format!("prvWrite{}", table.schema_name),
        Resource::Related { table, .. } => format!("prvAppendTo{}", table.schema_name),
        Resource::Operation { name, .. } => format!("prv{name}"),
        Resource::Definitions(_) | Resource::Metadata => "prvWriteEntity".into(),
        Resource::Batch | Resource::ServiceDocument => "prvWriteOrganization".into(),
    }
}

/// Who a request comes from. Without credentials anybody is the built-in
/// administrator. A `$batch` without a token is let in: some clients put the
/// token on its parts only, and each part is judged by itself.
pub fn caller(service: &Service, parts: &Parts) -> Result<Caller> {
    let Some(credentials) = &service.credentials else {
        return impersonated(service, parts, Caller::default());
    };
    let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
        if is_batch(parts) {
            return Ok(Caller { role: Role::Reader, ..Caller::default() });
        }
        return Err(unauthorized(parts, "the request has no bearer token", ""));
    };
    let token = header.to_str().ok().and_then(|text| text.split_once(' '));
    let Some((_, token)) = token.filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer")) else {
        return Err(unauthorized(parts, "the Authorization header is not 'Bearer TOKEN'", ""));
    };
    let Some(user) = credentials.bearer(token.trim(), service.clock.now()) else {
        let message = "the bearer token is not known or has expired";
        return Err(unauthorized(parts, message, r#", error="invalid_token""#));
    };
    let caller = Caller { role: user.role, ..Caller::default() };
    let caller = match user.systemuserid {
        Some(id) => acting_as(service, id, caller),
        None => caller,
    };
    impersonated(service, parts, caller)
}

/// Whether the path is that of a batch and nothing else.
fn is_batch(parts: &Parts) -> bool {
    let below = parts.uri.path().strip_prefix("/api/data/").and_then(|path| path.split_once('/'));
    below.is_some_and(|(_, path)| matches!(path.trim_end_matches('/'), "$batch" | "%24batch"))
}

fn unauthorized(parts: &Parts, message: &str, reason: &str) -> Failure {
    let base = address(parts).unwrap_or_default();
    let challenge = format!(
        r#"Bearer authorization_uri="{base}/common/oauth2/authorize", resource_id="{base}/"{reason}"#
    );
    let error = Error::new(ErrorKind::Invalid, codes::ACCESS_DENIED, message);
    let failure = Failure::new(StatusCode::UNAUTHORIZED, error);
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => failure.with(header::WWW_AUTHENTICATE, challenge),
        Err(_) => failure,
    }
}

/// A caller in the business unit of the row of `systemuser` they act as.
fn acting_as(service: &Service, user: Guid, caller: Caller) -> Caller {
    let unit = users(service).and_then(|(table, column)| {
        let unit = column("businessunitid")?;
        match service.store.value(table, &user, unit)? {
            Value::Guid(unit) => Some(unit),
            _ => None,
        }
    });
    Caller { user, business_unit: unit.unwrap_or(BUSINESS_UNIT), ..caller }
}

/// The table of users, and how to find its columns.
fn users(service: &Service) -> Option<(usize, impl Fn(&str) -> Option<usize>)> {
    let catalog = service.store.catalog();
    let number = catalog.table_index("systemuser")?;
    let table = catalog.tables()[number].clone();
    Some((number, move |name: &str| table.column_index(name)))
}

/// The headers by which administrators act as somebody else.
fn impersonated(service: &Service, parts: &Parts, caller: Caller) -> Result<Caller> {
    let named = ["callerobjectid", "mscrmcallerid"]
        .iter()
        .find_map(|name| Some((*name, parts.headers.get(*name)?)));
    let Some((name, value)) = named else { return Ok(caller) };
    if caller.role < Role::Administrator {
        let message = format!(
            "Principal user (Id={}) is missing the privilege prvActOnBehalfOfAnotherUser, which the header '{name}' takes",
            guid_text(&caller.user)
        );
        return Err(Failure::new(StatusCode::FORBIDDEN, missing_privilege(message)));
    }
    let text = value.to_str().unwrap_or_default();
    let Some(id) = parse_guid(text.trim()) else {
        let message = format!("header '{name}': '{text}' is not a GUID");
        return Err(Error::invalid(codes::INVALID_ARGUMENT, message).into());
    };
    let user = match name {
        "callerobjectid" => by_object_id(service, &id),
        _ => None,
    };
    let user = user.unwrap_or(id);
    if users(service).is_some_and(|(table, _)| service.store.contains(table, &user)) {
        return Ok(acting_as(service, user, caller));
    }
    let message = format!("header '{name}': systemuser With Id = {text} Does Not Exist");
    Err(Error::invalid(codes::OBJECT_DOES_NOT_EXIST, message).into())
}

/// The user with an id in Microsoft Entra.
fn by_object_id(service: &Service, id: &Guid) -> Option<Guid> {
    let (table, column) = users(service)?;
    let column = column("azureactivedirectoryobjectid")?;
    service.store.snapshot().table(table).find_by(column, &Value::Guid(*id))
}
