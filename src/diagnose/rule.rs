//! A rule: one question, and what makes of its answer something that is wrong.

use serde_json::{Map, Value, json};

use super::{Rows, Severity};

/// A row of an answer.
pub type Row = Map<String, Value>;

/// What a finding is found by.
pub struct Rule {
    pub id: &'static str,
    pub sql: &'static str,
    pub judge: fn(&[Row]) -> Vec<Trouble>,
    /// What it means, in plain words.
    pub meaning: &'static str,
}

/// Something that a rule has found.
pub struct Trouble {
    pub severity: Severity,
    pub headline: String,
    pub subject: Value,
    pub since: Option<String>,
    pub figures: Value,
    /// The rows that show it.
    pub rows: Rows,
    pub remedy: Vec<String>,
}

/// Reads the cells of a row; what is missing is nothing.
pub trait Cells {
    fn integer(&self, column: &str) -> i64;
    fn number(&self, column: &str) -> f64;
    fn text(&self, column: &str) -> Option<&str>;
    /// A cell as it is.
    fn cell(&self, column: &str) -> Value;
}

impl Cells for Row {
    fn integer(&self, column: &str) -> i64 {
        let cell = self.get(column);
        let whole = cell.and_then(Value::as_i64);
        whole.or_else(|| cell.and_then(Value::as_f64).map(|n| n as i64)).unwrap_or(0)
    }

    fn number(&self, column: &str) -> f64 {
        self.get(column).and_then(Value::as_f64).unwrap_or(0.0)
    }

    fn text(&self, column: &str) -> Option<&str> {
        self.get(column).and_then(Value::as_str)
    }

    fn cell(&self, column: &str) -> Value {
        self.get(column).cloned().unwrap_or(Value::Null)
    }
}

/// A cell as text, for `since`.
pub fn time(row: &Row, column: &str) -> Option<String> {
    row.text(column).map(str::to_owned)
}

/// Some cells of a row, by their columns.
pub fn figures(row: &Row, columns: &[&str]) -> Value {
    let cells = columns.iter().map(|column| ((*column).to_owned(), row.cell(column)));
    Value::Object(cells.collect())
}

/// The job of a row.
pub fn job(row: &Row) -> Value {
    json!({
        "kind": "asyncoperation",
        "id": row.cell("asyncoperationid"),
        "name": row.cell("name"),
    })
}

/// The operation type of a row.
pub fn kind(row: &Row) -> Value {
    json!({
        "kind": "operationtype",
        "id": row.cell("operationtype"),
        "name": row.cell("operationtypename"),
    })
}

/// The name of the operation type of a row.
pub fn kind_name(row: &Row) -> String {
    match (row.text("operationtypename"), row.get("operationtype")) {
        (Some(name), _) => format!("'{name}'"),
        (None, Some(Value::Number(code))) => format!("{code}"),
        _ => "without an operation type".into(),
    }
}

/// The workflow or step of a row, or the operation type of jobs without one.
pub fn definition(row: &Row) -> Value {
    let Some(id) = row.text("owningextensionid") else { return kind(row) };
    let of = row.text("owningextensiontypecode").unwrap_or("owningextension");
    let name = row.text("owningextensionidname").or(row.text("name"));
    json!({ "kind": of, "id": id, "name": name })
}

/// What a definition is called in a headline.
pub fn definition_name(row: &Row) -> String {
    if row.text("owningextensionid").is_none() {
        return format!("jobs of type {}", kind_name(row));
    }
    let what = match row.text("owningextensiontypecode") {
        Some("workflow") => "workflow",
        Some("sdkmessageprocessingstep") => "step",
        _ => "definition",
    };
    let name = row.text("owningextensionidname").or(row.text("name"));
    match (name, row.text("owningextensionid")) {
        (Some(name), _) => format!("{what} '{name}'"),
        (None, id) => format!("{what} {}", id.unwrap_or_default()),
    }
}

/// A condition that the jobs of a row's operation type meet.
pub fn of_kind(row: &Row) -> String {
    match row.get("operationtype") {
        Some(Value::Number(code)) => format!("operationtype = {code}"),
        _ => "operationtype IS NULL".into(),
    }
}

/// A condition that the jobs of a row's definition, or of its operation type, meet.
pub fn of_definition(row: &Row) -> String {
    match row.text("owningextensionid") {
        Some(id) => format!("owningextensionid = '{id}'"),
        None => of_kind(row),
    }
}

/// The error code of a row as Dataverse writes it.
pub fn error_code(row: &Row) -> String {
    match row.get("errorcode").and_then(Value::as_i64) {
        Some(code) => format!("0x{:08X}", code as u32),
        None => "no error code".into(),
    }
}

/// A command that shows some jobs.
pub fn list(condition: &str) -> String {
    format!("sysjob jobs list --where \"{condition}\"")
}

/// A command that says what an action would do to some jobs.
pub fn act(action: &str, condition: &str) -> String {
    format!("sysjob jobs {action} --where \"{condition}\" --dry-run")
}

/// A command that says which jobs would be postponed.
pub fn postpone(until: &str, condition: &str) -> String {
    format!("sysjob jobs postpone --where \"{condition}\" --until {until} --dry-run")
}

/// The command that shows why a job is where it is.
pub fn why(row: &Row) -> String {
    format!("sysjob jobs why {}", row.text("asyncoperationid").unwrap_or_default())
}

/// "1 job", "12,345 jobs".
pub fn jobs(number: i64) -> String {
    counted(number, "job", "jobs")
}

pub fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A number with its thousands set apart.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Seconds as people say them.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let said = [0, 1, 999, 1000, 1_234_567, -5000].map(grouped);
        assert_eq!(said, ["0", "1", "999", "1,000", "1,234,567", "-5,000"]);
        assert_eq!([jobs(1), jobs(2000)], ["1 job", "2,000 jobs"]);
        let said = [59.6, 300.0, 7200.0, 172_800.0].map(duration);
        assert_eq!(said, ["60 s", "5 min", "2.0 h", "2.0 days"]);
    }
}
