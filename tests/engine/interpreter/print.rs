//! Questions as texts of the three dialects.

use std::fmt::Write as _;

use sysjob::value::{guid_text, time_text};

use super::question::{Aggregate, Answer, Field, Filter, Literal, Op, Question};

/// The logical name of a field.
pub fn logical(field: Field) -> &'static str {
    match field {
        Field::Id => "asyncoperationid",
        Field::Name => "name",
        Field::Message => "message",
        Field::State => "statecode",
        Field::Type => "operationtype",
        Field::Retries => "retrycount",
        Field::Span => "executiontimespan",
        Field::Created => "createdon",
        Field::Completed => "completedon",
        Field::User => "owninguser",
        Field::UserName => "fullname",
        Field::Failures => "failurecount",
    }
}

/// The name of the nth aggregate in every dialect.
pub fn alias(n: usize) -> String {
    format!("a{n}")
}

pub fn method(aggregate: Aggregate) -> (&'static str, Field) {
    match aggregate {
        Aggregate::Count => ("count", Field::Id),
        Aggregate::CountDistinct(field) => ("countdistinct", field),
        Aggregate::Sum(field) => ("sum", field),
        Aggregate::Avg(field) => ("avg", field),
        Aggregate::Min(field) => ("min", field),
        Aggregate::Max(field) => ("max", field),
    }
}

/// A literal without quotes.
fn bare(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => text.clone(),
        Literal::Int(n) => n.to_string(),
        Literal::Float(n) => n.to_string(),
        Literal::Time(micros) => time_text(*micros),
        Literal::Guid(id) => guid_text(id),
    }
}

pub fn fetchxml(question: &Question) -> String {
    let mut text = String::from("<fetch");
    match &question.answer {
        Answer::Groups { .. } => text.push_str(" aggregate='true'"),
        Answer::Rows { page: Some((number, size)), .. } => {
            write!(text, " page='{number}' count='{size}'").expect("text");
        }
        Answer::Rows { .. } => {}
    }
    text.push_str("><entity name='asyncoperation'>");
    match &question.answer {
        Answer::Rows { columns, order, .. } => {
            for column in columns {
                write!(text, "<attribute name='{}'/>", logical(*column)).expect("text");
            }
            for (field, descending) in order {
                let entity =
                    if *field == Field::UserName { " entityname='owninguser'" } else { "" };
                write!(
                    text,
                    "<order{entity} attribute='{}' descending='{descending}'/>",
                    logical(*field)
                )
                .expect("text");
            }
            text.push_str("<order attribute='asyncoperationid'/>");
        }
        Answer::Groups { groups, aggregates } => {
            for group in groups {
                let name = logical(*group);
                let alias = odata_name(*group);
                write!(text, "<attribute name='{name}' groupby='true' alias='{alias}'/>")
                    .expect("text");
            }
            for (n, aggregate) in aggregates.iter().enumerate() {
                let (function, field) = method(*aggregate);
                let function = match function {
                    "countdistinct" => "aggregate='countcolumn' distinct='true'".to_owned(),
                    other => format!("aggregate='{other}'"),
                };
                let (name, alias) = (logical(field), alias(n));
                write!(text, "<attribute name='{name}' {function} alias='{alias}'/>")
                    .expect("text");
            }
        }
    }
    if question.needs_user() {
        text.push_str(
            "<link-entity name='systemuser' from='systemuserid' to='owninguser' \
             link-type='outer' alias='owninguser'/>",
        );
    }
    if let Some(filter) = &question.filter {
        write!(text, "<filter>{}</filter>", fetch_filter(filter)).expect("text");
    }
    text + "</entity></fetch>"
}

fn fetch_filter(filter: &Filter) -> String {
    match filter {
        Filter::And(parts) => {
            let parts: String = parts.iter().map(fetch_filter).collect();
            format!("<filter type='and'>{parts}</filter>")
        }
        Filter::Or(parts) => {
            let parts: String = parts.iter().map(fetch_filter).collect();
            format!("<filter type='or'>{parts}</filter>")
        }
        Filter::Condition { field, op, values } => {
            let entity = if *field == Field::UserName { " entityname='owninguser'" } else { "" };
            let values: String =
                values.iter().map(|v| format!("<value>{}</value>", bare(v))).collect();
            let name = logical(*field);
            let op = fetch_op(*op);
            let op = match op {
                "contains" => {
                    return fetch_contains(
                        &format!("{entity} attribute='{name}'"),
                        "like",
                        &values,
                    );
                }
                "not-contains" => {
                    return fetch_contains(
                        &format!("{entity} attribute='{name}'"),
                        "not-like",
                        &values,
                    );
                }
                op => op,
            };
            format!("<condition{entity} attribute='{name}' operator='{op}'>{values}</condition>")
        }
        Filter::Columns { left, op, right } => format!(
            "<condition attribute='{}' operator='{}' valueof='{}'/>",
            logical(*left),
            fetch_op(*op),
            logical(*right)
        ),
        Filter::Child { negated, filter } => {
            let link_type = if *negated { "not any" } else { "any" };
            let inner = filter.as_ref().map(|f| format!("<filter>{}</filter>", fetch_filter(f)));
            format!(
                "<link-entity name='bulkdeleteoperation' from='asyncoperationid' \
                 to='asyncoperationid' link-type='{link_type}'>{}</link-entity>",
                inner.unwrap_or_default()
            )
        }
    }
}

fn fetch_contains(of: &str, op: &str, values: &str) -> String {
    let values = values.replace("<value>", "<value>%").replace("</value>", "%</value>");
    format!("<condition{of} operator='{op}'>{values}</condition>")
}

fn fetch_op(op: Op) -> &'static str {
    match op {
        Op::Eq => "eq",
        Op::Ne => "ne",
        Op::Gt => "gt",
        Op::Ge => "ge",
        Op::Lt => "lt",
        Op::Le => "le",
        Op::In => "in",
        Op::NotIn => "not-in",
        Op::Between => "between",
        Op::NotBetween => "not-between",
        Op::Null => "null",
        Op::NotNull => "not-null",
        Op::Contains => "contains",
        Op::NotContains => "not-contains",
        Op::StartsWith => "begins-with",
        Op::EndsWith => "ends-with",
    }
}

/// The property name of a field.
pub fn odata_name(field: Field) -> &'static str {
    match field {
        Field::User => "_owninguser_value",
        Field::UserName => "owninguser/fullname",
        field => logical(field),
    }
}

/// Query options, decoded.
pub fn odata(question: &Question) -> String {
    let mut options = Vec::new();
    match &question.answer {
        Answer::Rows { columns, order, page } => {
            let names: Vec<&str> = columns.iter().map(|c| odata_name(*c)).collect();
            options.push(format!("$select={}", names.join(",")));
            let keys = order.iter().map(|(field, descending)| {
                format!("{}{}", odata_name(*field), if *descending { " desc" } else { "" })
            });
            let keys: Vec<String> = keys.chain(["asyncoperationid".to_owned()]).collect();
            options.push(format!("$orderby={}", keys.join(",")));
            if let Some((number, size)) = page {
                options.push(format!("$top={size}&$skip={}", (number - 1) * size));
            }
        }
        Answer::Groups { groups, aggregates } => {
            let aggregates: Vec<String> = aggregates
                .iter()
                .enumerate()
                .map(|(n, aggregate)| {
                    let alias = alias(n);
                    match method(*aggregate) {
                        ("count", _) => format!("$count as {alias}"),
                        ("avg", field) => format!("{} with average as {alias}", odata_name(field)),
                        (method, field) => {
                            format!("{} with {method} as {alias}", odata_name(field))
                        }
                    }
                })
                .collect();
            let aggregates = format!("aggregate({})", aggregates.join(","));
            let groups: Vec<&str> = groups.iter().map(|g| odata_name(*g)).collect();
            options.push(match groups.is_empty() {
                true => format!("$apply={aggregates}"),
                false => format!("$apply=groupby(({}),{aggregates})", groups.join(",")),
            });
        }
    }
    if let Some(filter) = &question.filter {
        options.push(format!("$filter={}", encoded(&odata_filter(filter, ""))));
    }
    format!("asyncoperations?{}", options.join("&"))
}

fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace('#', "%23")
}

fn odata_literal(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
        other => bare(other),
    }
}

fn odata_filter(filter: &Filter, prefix: &str) -> String {
    let all = |parts: &[Filter], word: &str| {
        let parts: Vec<String> = parts.iter().map(|p| odata_filter(p, prefix)).collect();
        format!("({})", parts.join(word))
    };
    match filter {
        Filter::And(parts) => all(parts, " and "),
        Filter::Or(parts) => all(parts, " or "),
        Filter::Condition { field, op, values } => {
            let name = format!("{prefix}{}", odata_name(*field));
            let value = |n: usize| odata_literal(&values[n]);
            let texts = || {
                let texts: Vec<String> =
                    values.iter().map(|v| format!("\"{}\"", bare(v))).collect();
                texts.join(",")
            };
            let function = |function: &str| {
                format!(
                    "Microsoft.Dynamics.CRM.{function}(PropertyName='{name}',PropertyValues=[{}])",
                    texts()
                )
            };
            match op {
                Op::Eq | Op::Ne | Op::Gt | Op::Ge | Op::Lt | Op::Le => {
                    format!("{name} {} {}", fetch_op(*op), value(0))
                }
                // Inside a lambda a query function would name a column of the job.
                Op::In if !prefix.is_empty() => {
                    format!("{name} in ({},{},{})", value(0), value(1), value(2))
                }
                Op::NotIn if !prefix.is_empty() => format!(
                    "({name} ne {} and {name} ne {} and {name} ne {})",
                    value(0),
                    value(1),
                    value(2)
                ),
                Op::Between if !prefix.is_empty() => {
                    format!("({name} ge {} and {name} le {})", value(0), value(1))
                }
                Op::NotBetween if !prefix.is_empty() => {
                    format!("({name} lt {} or {name} gt {} or {name} eq null)", value(0), value(1))
                }
                Op::In => function("In"),
                Op::NotIn => function("NotIn"),
                Op::Between => function("Between"),
                Op::NotBetween => function("NotBetween"),
                Op::Null => format!("{name} eq null"),
                Op::NotNull => format!("{name} ne null"),
                Op::Contains => format!("contains({name},{})", value(0)),
                Op::NotContains => format!("not contains({name},{})", value(0)),
                Op::StartsWith => format!("startswith({name},{})", value(0)),
                Op::EndsWith => format!("endswith({name},{})", value(0)),
            }
        }
        Filter::Columns { left, op, right } => {
            format!("{} {} {}", odata_name(*left), fetch_op(*op), odata_name(*right))
        }
        Filter::Child { negated, filter } => {
            let inner = filter.as_ref().map(|f| {
                format!("bulkdeleteoperation:{}", odata_filter(f, "bulkdeleteoperation/"))
            });
            let any =
                format!("AsyncOperation_BulkDeleteOperation/any({})", inner.unwrap_or_default());
            if *negated { format!("not {any}") } else { any }
        }
    }
}

pub fn sql(question: &Question) -> String {
    let mut text = String::from("SELECT ");
    let name = |field: Field| match field {
        Field::UserName => "u.fullname".to_owned(),
        field => format!("a.{}", logical(field)),
    };
    let mut after = String::new();
    match &question.answer {
        Answer::Rows { columns, order, page } => {
            let columns: Vec<String> = columns.iter().map(|c| name(*c)).collect();
            text.push_str(&columns.join(", "));
            let keys = order.iter().map(|(f, descending)| {
                format!("{}{}", name(*f), if *descending { " DESC" } else { "" })
            });
            let keys: Vec<String> = keys.chain([name(Field::Id)]).collect();
            write!(after, " ORDER BY {}", keys.join(", ")).expect("text");
            if let Some((number, size)) = page {
                let skip = (number - 1) * size;
                write!(after, " OFFSET {skip} ROWS FETCH NEXT {size} ROWS ONLY").expect("text");
            }
        }
        Answer::Groups { groups, aggregates } => {
            let groups: Vec<String> = groups.iter().map(|g| name(*g)).collect();
            let mut outputs = groups.clone();
            for (n, aggregate) in aggregates.iter().enumerate() {
                let alias = alias(n);
                outputs.push(match method(*aggregate) {
                    ("count", _) => format!("COUNT(*) AS {alias}"),
                    ("countdistinct", f) => format!("COUNT(DISTINCT {}) AS {alias}", name(f)),
                    (method, f) => format!("{}({}) AS {alias}", method.to_uppercase(), name(f)),
                });
            }
            text.push_str(&outputs.join(", "));
            if !groups.is_empty() {
                write!(after, " GROUP BY {}", groups.join(", ")).expect("text");
            }
        }
    }
    text.push_str(" FROM asyncoperation a");
    if question.needs_user() {
        text.push_str(" LEFT JOIN systemuser u ON u.systemuserid = a.owninguser");
    }
    if let Some(filter) = &question.filter {
        write!(text, " WHERE {}", sql_filter(filter)).expect("text");
    }
    text + &after
}

fn sql_literal(literal: &Literal) -> String {
    match literal {
        Literal::Int(_) | Literal::Float(_) => bare(literal),
        other => format!("'{}'", bare(other).replace('\'', "''")),
    }
}

fn sql_filter(filter: &Filter) -> String {
    let all = |parts: &[Filter], word: &str| {
        let parts: Vec<String> = parts.iter().map(sql_filter).collect();
        format!("({})", parts.join(word))
    };
    match filter {
        Filter::And(parts) => all(parts, " AND "),
        Filter::Or(parts) => all(parts, " OR "),
        Filter::Condition { field, op, values } => {
            let name = match field {
                Field::UserName => "u.fullname".to_owned(),
                Field::Failures => "c.failurecount".to_owned(),
                field => format!("a.{}", logical(*field)),
            };
            let value = |n: usize| sql_literal(&values[n]);
            let like = |before: &str, after: &str| {
                format!("'{before}{}{after}'", bare(&values[0]).replace('\'', "''"))
            };
            // What FetchXML says of null rows, SQL has to say itself.
            let or_null = |condition: String| format!("({condition} OR {name} IS NULL)");
            match op {
                Op::Eq => format!("{name} = {}", value(0)),
                Op::Ne => or_null(format!("{name} <> {}", value(0))),
                Op::Gt => format!("{name} > {}", value(0)),
                Op::Ge => format!("{name} >= {}", value(0)),
                Op::Lt => format!("{name} < {}", value(0)),
                Op::Le => format!("{name} <= {}", value(0)),
                Op::In => format!("{name} IN ({}, {}, {})", value(0), value(1), value(2)),
                Op::NotIn => {
                    or_null(format!("{name} NOT IN ({}, {}, {})", value(0), value(1), value(2)))
                }
                Op::Between => format!("{name} BETWEEN {} AND {}", value(0), value(1)),
                Op::NotBetween => {
                    or_null(format!("{name} NOT BETWEEN {} AND {}", value(0), value(1)))
                }
                Op::Null => format!("{name} IS NULL"),
                Op::NotNull => format!("{name} IS NOT NULL"),
                Op::Contains => format!("{name} LIKE {}", like("%", "%")),
                Op::NotContains => or_null(format!("{name} NOT LIKE {}", like("%", "%"))),
                Op::StartsWith => format!("{name} LIKE {}", like("", "%")),
                Op::EndsWith => format!("{name} LIKE {}", like("%", "")),
            }
        }
        Filter::Columns { left, op, right } => {
            let (left, right) = (format!("a.{}", logical(*left)), format!("a.{}", logical(*right)));
            match op {
                Op::Eq => format!("{left} = {right}"),
                Op::Gt => format!("{left} > {right}"),
                Op::Le => format!("{left} <= {right}"),
                // True as well where exactly one side is null.
                _ => format!(
                    "({left} <> {right} OR ({left} IS NULL AND {right} IS NOT NULL) \
                     OR ({left} IS NOT NULL AND {right} IS NULL))"
                ),
            }
        }
        Filter::Child { negated, filter } => {
            let inner = filter.as_ref().map(|f| format!(" AND {}", sql_filter(f)));
            format!(
                "{}EXISTS (SELECT 1 FROM bulkdeleteoperation c \
                 WHERE c.asyncoperationid = a.asyncoperationid{})",
                if *negated { "NOT " } else { "" },
                inner.unwrap_or_default()
            )
        }
    }
}
