//! Findings as a page that needs nothing beside itself.

use serde_json::{Map, Value};

use super::{Finding, Severity};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;\
padding:0 1em;color:#222}section{border-left:6px solid #888;padding:.1em 1em;margin:1.5em 0;\
background:#f7f7f7}section.critical{border-color:#c22}section.warning{border-color:#d80}\
section.info{border-color:#28c}h2{font-size:1.1em}pre,code{background:#eee;padding:.1em .3em}\
pre{overflow:auto;padding:.6em}table{border-collapse:collapse;font-size:.85em}\
td,th{border:1px solid #ccc;padding:.2em .5em;text-align:left}div.rows{overflow:auto}";

/// A document of [`super::document`] as HTML.
pub fn page(document: &Value, found: &[Finding]) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>sysjob diagnosis</title><style>{STYLE}</style></head><body>\n\
         <h1>System jobs: {}</h1>\n<p>{} jobs, judged at {}.</p>\n",
        escaped(&verdict(found)),
        escaped(&shown(&document["jobs"])),
        escaped(&shown(&document["generated"])),
    );
    for finding in found {
        section(finding, &mut page);
    }
    page.push_str("</body></html>\n");
    page
}

/// How it stands, in a few words.
fn verdict(found: &[Finding]) -> String {
    let count = |severity: Severity| found.iter().filter(|f| f.severity == severity).count();
    let all = [Severity::Critical, Severity::Warning, Severity::Info];
    let counts = all.map(|severity| (severity, count(severity)));
    let said: Vec<String> = counts
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(severity, number)| format!("{number} {}", severity.name()))
        .collect();
    if said.is_empty() { "nothing is wrong".into() } else { said.join(", ") }
}

fn section(finding: &Finding, page: &mut String) {
    let severity = finding.severity.name();
    page.push_str(&format!(
        "<section class=\"{severity}\" id=\"{id}\"><h2>{severity}: {}</h2>\n<p><code>{id}</code>",
        escaped(&finding.headline),
        id = finding.id,
    ));
    if let Some(since) = &finding.since {
        page.push_str(&format!(", since {}", escaped(since)));
    }
    page.push_str(&format!("</p>\n<p>{}</p>\n", escaped(finding.meaning)));
    if !finding.remedy.is_empty() {
        page.push_str("<p>What to do:</p><pre>");
        page.push_str(&escaped(&finding.remedy.join("\n")));
        page.push_str("</pre>\n");
    }
    for evidence in &finding.evidence {
        page.push_str("<details><summary>Evidence</summary><pre>");
        page.push_str(&escaped(&shown(&evidence["text"])));
        page.push_str("</pre>\n");
        table(evidence["rows"].as_array().map_or(&[], Vec::as_slice), page);
        page.push_str("</details>\n");
    }
    page.push_str("</section>\n");
}

fn table(rows: &[Value], page: &mut String) {
    let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
    let Some(first) = rows.first() else { return };
    page.push_str("<div class=\"rows\"><table><tr>");
    for column in first.keys() {
        page.push_str(&format!("<th>{}</th>", escaped(column)));
    }
    page.push_str("</tr>\n");
    for row in &rows {
        page.push_str("<tr>");
        for cell in row.values() {
            page.push_str(&format!("<td>{}</td>", escaped(&shown(cell))));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}
