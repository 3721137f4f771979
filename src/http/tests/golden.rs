//! Golden files of whole exchanges: a request, `----`, and its answer. The exchanges
//! of a file follow each other on one small store, at one time. `UPDATE_GOLDEN=1`
//! writes the answers anew, for review with `git diff`.
//!
//! A request is a line with method and address below the Web API's base, lines that
//! begin with a blank and go on with the address, headers, an empty line, a body.
//! Addresses are written unencoded, but for `%`, `&`, `+` and `#` inside values.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Answer, Server, each_golden_file, job_id, start_as, stored};
use crate::clock::ManualClock;
use crate::value::{Value, parse_time};

/// The headers that say something about an answer.
const HEADERS: [&str; 10] = [
    "Allow",
    "Content-Type",
    "ETag",
    "Location",
    "OData-EntityId",
    "OData-Version",
    "Preference-Applied",
    "Retry-After",
    "Vary",
    "WWW-Authenticate",
];

/// What people write in addresses and no address may hold.
const READABLE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|');

/// What is shown of long documents.
const LINES_SHOWN: usize = 60;

#[test]
fn exchanges() {
    each_golden_file("http", check);
}

/// Five jobs and a user, two files of one of the jobs, at a quarter past ten.
fn served(limits: bool) -> Server {
    let (dir, store) = stored(5);
    let server = start_as(dir, store, None, move |service| {
        let now = parse_time("2024-05-01T10:15:00Z").expect("a time");
        service.clock = Arc::new(ManualClock::at(now));
        service.settings.dataverse_limits = limits;
    });
    for i in 1_u32..=2 {
        server.insert(
            "fileattachment",
            vec![
                ("fileattachmentid", Value::Guid(job_id(0xf0 + i))),
                ("filename", Value::Text(format!("part {i}.txt"))),
                ("filesizeinbytes", Value::Int64(1000 * i64::from(i))),
                ("objectid", Value::Guid(job_id(2))),
                ("objectidtypecode", Value::Int32(4700)),
            ],
        );
    }
    server
}

/// Runs every exchange of a file; where one went otherwise, how.
fn check(path: &Path) -> Option<String> {
    let golden = std::fs::read_to_string(path).expect("a text");
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned())?;
    let server = served(name == "limits.txt");
    let mut actual = String::new();
    for record in golden.split_inclusive("\n====\n") {
        let record = record.strip_suffix("\n====\n").unwrap_or(record);
        let (question, _) = record.split_once("\n----\n").unwrap_or((record, ""));
        let (title, request) = question.split_once('\n').expect("a title, then the request");
        assert!(title.starts_with("# "), "{name}: a record starts with a title: {title}");
        let answer = shown(&server, &ask(&server, request));
        let _ = write!(actual, "{question}\n----\n{answer}\n====\n");
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &actual).expect("the golden file is writable");
        return None;
    }
    let mut records = golden.split("\n====\n").zip(actual.split("\n====\n"));
    match records.find(|(golden, actual)| golden != actual) {
        Some((golden, actual)) => Some(format!("{name} has\n{golden}\nand it is\n{actual}\n")),
        None => (golden != actual).then(|| format!("{name} ends differently")),
    }
}

fn ask(server: &Server, request: &str) -> Answer {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines().peekable();
    let first = lines.next().expect("a request line");
    let (method, start) = first.split_once(' ').expect("a method, then an address");
    let mut address = start.to_owned();
    while let Some(more) = lines.next_if(|line| line.starts_with(' ')) {
        address.push_str(more.trim_start());
    }
    let address = utf8_percent_encode(&address, READABLE).to_string();
    let path = if address.starts_with('/') { address } else { format!("/api/data/v9.2/{address}") };
    let mut headers: Vec<(&str, &str)> =
        lines.map(|line| line.split_once(": ").expect("a header")).collect();
    let multipart = headers.iter().any(|(_, value)| value.starts_with("multipart/"));
    let typed = headers.iter().any(|(name, _)| *name == "Content-Type");
    if !body.is_empty() && !typed {
        headers.push(("Content-Type", "application/json"));
    }
    let body = if multipart { body.replace('\n', "\r\n") } else { body.to_owned() };
    server.send(method, &path, &headers, &body)
}

/// Status, headers and body as they are compared: what changes with every run
/// has a placeholder.
fn shown(server: &Server, answer: &Answer) -> String {
    let mut text = answer.status.to_string();
    for name in HEADERS {
        for value in answer.response.headers().get_all(name) {
            let _ = write!(text, "\n{name}: {}", value.to_str().expect("ASCII"));
        }
    }
    let body = match answer.text.trim_start_matches('\u{feff}') {
        json if json.starts_with(['{', '[']) => indented(json),
        xml if xml.starts_with('<') => xml.replace("><", ">\n<"),
        other => other.replace("\r\n", "\n").trim_end().to_owned(),
    };
    if !body.is_empty() {
        let lines: Vec<&str> = body.lines().take(LINES_SHOWN).collect();
        let more = if body.lines().count() > LINES_SHOWN { "\n…" } else { "" };
        let _ = write!(text, "\n\n{}{more}", lines.join("\n"));
    }
    let text = text.replace(&format!("http://{}", server.address), "http://localhost");
    without_random_ids(&text)
}

/// JSON with a line for each property, in the order of the answer.
fn indented(json: &str) -> String {
    let mut text = String::new();
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut signs = json.chars().peekable();
    while let Some(sign) = signs.next() {
        if quoted {
            text.push(sign);
            quoted = escaped || sign != '"';
            escaped = !escaped && sign == '\\';
            continue;
        }
        match sign {
            '{' | '[' => {
                text.push(sign);
                if let Some(end) = signs.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                    continue;
                }
                depth += 1;
                let _ = write!(text, "\n{}", "  ".repeat(depth));
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                let _ = write!(text, "\n{}{sign}", "  ".repeat(depth));
            }
            ',' => {
                let _ = write!(text, ",\n{}", "  ".repeat(depth));
            }
            ':' => text.push_str(": "),
            _ if sign.is_whitespace() => {}
            _ => {
                quoted = sign == '"';
                text.push(sign);
            }
        }
    }
    text
}

/// Random ids are those of version 4 that are not the built-in ones.
pub fn without_random_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let id = rest.get(..36).filter(|id| {
            let random = id.as_bytes()[14] == b'4' && !id.starts_with("5e5ab5e0");
            random && uuid::Uuid::try_parse(id).is_ok()
        });
        let (shown, length) = match id {
            Some(_) => ("[id]", 36),
            None => (&rest[..next.len_utf8()], next.len_utf8()),
        };
        out.push_str(shown);
        rest = &rest[length..];
    }
    out
}
