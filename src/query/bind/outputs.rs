//! The columns of the answer and their names, as each dialect's answers have them.

use std::sync::Arc;

use super::Binder;
use super::columns::{name_column, type_column};
use super::sources::Scope;
use crate::catalog::{self, ColumnKind, ColumnType, Table};
use crate::error::{Error, Result, codes};
use crate::query::bound::{Column, Output, OutputRole};
use crate::query::{
    self, Aggregate, Columns, Expand, Link, LinkType, Name, Path, Role, Select, Style,
};

impl Binder<'_> {
    /// The visible columns: the root's, its primary key, the links', what is expanded.
    pub(super) fn add_outputs(&mut self, select: &Select) -> Result<()> {
        self.add_columns(0, &select.columns, &select.table)?;
        if !self.aggregate && !self.distinct {
            self.add_primary_key(0, None);
            self.add_currency();
        }
        let mut source = 0;
        self.add_link_columns(&select.links, &mut source)?;
        for expand in &select.expand {
            self.add_expand(expand, 0, None)?;
        }
        if self.outputs.is_empty() {
            let message = "the query asks for no column, group or aggregate";
            let code = self.code(codes::BAD_AGGREGATE);
            return Err(Error::invalid(code, message).at(select.table.at.clone()));
        }
        Ok(())
    }

    fn add_link_columns(&mut self, links: &[Link], source: &mut usize) -> Result<()> {
        for link in links {
            *source += 1;
            self.add_columns(*source, &link.columns, &link.table)?;
            self.add_link_columns(&link.links, source)?;
        }
        Ok(())
    }

    fn add_columns(&mut self, source: usize, columns: &Columns, of: &Name) -> Result<()> {
        match columns {
            Columns::List(list) => {
                // Mistakes are gathered, so one does not end the walk.
                let mut outcome = Ok(());
                for column in list {
                    let added = self.add_column(source, column);
                    outcome = self.both(outcome, added);
                }
                outcome
            }
            Columns::All | Columns::AllAnd(_) if self.aggregate => {
                let message = "an aggregate query has groups and aggregates only";
                let code = self.code(codes::PLAIN_ATTRIBUTE_IN_AGGREGATE);
                Err(Error::invalid(code, message).at(of.at.clone()))
            }
            Columns::All => {
                self.readable(source, self.root_scope(), of)?;
                self.add_all(source, None, of)
            }
            Columns::AllAnd(list) => {
                self.add_columns(source, &Columns::All, of)?;
                list.iter().try_for_each(|column| self.add_column(source, column))
            }
        }
    }

    /// Every readable column that is kept, not derived from another.
    fn add_all(&mut self, source: usize, nested: Option<&str>, of: &Name) -> Result<()> {
        let table = self.sources[source].table.clone();
        for (index, column) in table.columns.iter().enumerate() {
            if column.read && column.kind == ColumnKind::Stored {
                let name = match nested {
                    None => self.answer_name(source, column),
                    Some(_) => column.property_name(),
                };
                let column = Column { source, column: index };
                let mut output = self.output(name, OutputRole::Plain, column);
                output.nested = nested.map(str::to_owned);
                self.push_output(output, of)?;
            }
        }
        Ok(())
    }

    fn add_column(&mut self, here: usize, column: &query::Column) -> Result<()> {
        let name = &column.column.name;
        let scope = Scope { here, ..self.root_scope() };
        if self.style == Style::OData
            && column.role == Role::Plain
            && matches!(column.column.path, Path::Navigation(_))
        {
            let message =
                format!("a path to '{}' in $select is not supported; use $expand", name.text);
            return Err(Error::unsupported(message).at(name.at.clone()));
        }
        let found = if column.role == Role::Aggregate(Aggregate::Count)
            && self.style == Style::OData
            && matches!(column.column.path, Path::Here)
        {
            // Rows are counted, whatever columns they have.
            let key = self.sources[here].table.primary_key();
            Column { source: here, column: key.unwrap_or(0) }
        } else if column.role == Role::Plain {
            // Naming a bare lookup gives its value here, in every dialect.
            let source = self.source(&column.column.path, scope, codes::CONDITION_ALIAS_UNKNOWN)?;
            let table = self.sources[source].table.clone();
            Column { source, column: self.column(&table, name)? }
        } else {
            self.reference(&column.column, scope, codes::CONDITION_ALIAS_UNKNOWN)?
        };
        self.readable(found.source, self.root_scope(), name)?;
        let role = self.role(column, found)?;
        let facts_table = self.sources[found.source].table.clone();
        let facts = &facts_table.columns[found.column];
        let mut output = match &column.alias {
            Some(alias) => self.output(alias.text.clone(), role, found),
            None => self.output(self.answer_name(found.source, facts), role, found),
        };
        output.aliased = column.alias.is_some();
        self.push_output(output, column.alias.as_ref().unwrap_or(name))
    }

    /// Checks what a column is to do against its type and the kind of query.
    fn role(&self, column: &query::Column, found: Column) -> Result<OutputRole> {
        let name = &column.column.name;
        let facts = &self.sources[found.source].table.columns[found.column];
        let bad = |code, message: String| {
            Err(Error::invalid(self.code(code), message).at(name.at.clone()))
        };
        if self.aggregate && column.role == Role::Plain {
            let message = format!(
                "{} '{}' of an aggregate query is neither grouped nor aggregated",
                self.word(),
                name.text
            );
            return bad(codes::PLAIN_ATTRIBUTE_IN_AGGREGATE, message);
        }
        let of_groups = matches!(column.role, Role::Group(_) | Role::Aggregate(_));
        if self.aggregate && column.role == Role::CountChildren {
            let message = "'rowaggregate' cannot stand in an aggregate query".into();
            return bad(codes::BAD_AGGREGATE, message);
        }
        if !self.aggregate && of_groups {
            let message = format!(
                "{} '{}' is grouped or aggregated, but the query is not an aggregate one",
                self.word(),
                name.text
            );
            return bad(codes::BAD_AGGREGATE, message);
        }
        let needs_alias = match column.role {
            Role::Plain => false,
            Role::Group(_) => self.style == Style::FetchXml,
            Role::Aggregate(_) | Role::CountChildren => true,
        };
        if needs_alias && column.alias.is_none() {
            let message = format!("{} '{}' needs an alias", self.word(), name.text);
            return bad(codes::MISSING_ATTRIBUTE, message);
        }
        match column.role {
            Role::Plain => Ok(OutputRole::Plain),
            Role::CountChildren if self.distinct => {
                bad(codes::BAD_AGGREGATE, "'rowaggregate' needs rows, not distinct values".into())
            }
            Role::CountChildren => {
                let table = &self.sources[found.source].table;
                if table.parent_index().is_none() || table.primary_key() != Some(found.column) {
                    let message = format!(
                        "'CountChildren' is for the primary key of a table with a hierarchy; \
                         '{}' of '{}' is none",
                        name.text, table.logical_name
                    );
                    return bad(codes::BAD_AGGREGATE, message);
                }
                Ok(OutputRole::CountChildren)
            }
            Role::Group(Some(_)) if facts.column_type != ColumnType::DateTime => {
                let message = format!("'{}' has no date to group by a part of", name.text);
                bad(codes::BAD_DATEGROUPING, message)
            }
            Role::Group(part) => Ok(OutputRole::Group(part)),
            Role::Aggregate(function) if !aggregates(function, facts.column_type) => {
                let message = format!(
                    "the aggregate '{}' cannot be applied to '{}' of type {:?}",
                    self.function_name(function),
                    name.text,
                    facts.column_type
                );
                bad(codes::AGGREGATE_TYPE, message)
            }
            Role::Aggregate(function) => Ok(OutputRole::Aggregate(function)),
        }
    }

    fn function_name(&self, function: Aggregate) -> &'static str {
        match function {
            Aggregate::Count => "count",
            Aggregate::CountColumn { .. } => "countcolumn",
            Aggregate::Sum => "sum",
            Aggregate::Avg if self.style == Style::OData => "average",
            Aggregate::Avg => "avg",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
        }
    }

    /// `within` is the path of the expanded row that this one is expanded in.
    fn add_expand(&mut self, expand: &Expand, from: usize, within: Option<&str>) -> Result<()> {
        let navigation = match within {
            Some(path) => format!("{path}/{}", expand.navigation.text),
            None => expand.navigation.text.clone(),
        };
        let navigation = navigation.as_str();
        if self.aggregate {
            let message = format!("'{navigation}' cannot be expanded in an aggregate query");
            return Err(Error::unsupported(message).at(expand.navigation.at.clone()));
        }
        if self.outputs.iter().any(|o| o.nested.as_deref() == Some(navigation)) {
            let message = format!("'{navigation}' is expanded twice");
            return Err(Error::invalid(codes::ODATA, message).at(expand.navigation.at.clone()));
        }
        let source = self.navigate(from, &expand.navigation)?;
        match &expand.select {
            None => self.add_all(source, Some(navigation), &expand.navigation)?,
            Some(select) => self.add_expanded(select, source, navigation)?,
        }
        expand.expand.iter().try_for_each(|e| self.add_expand(e, source, Some(navigation)))
    }

    fn add_expanded(&mut self, select: &[Name], source: usize, navigation: &str) -> Result<()> {
        let table = self.sources[source].table.clone();
        for name in select {
            let column = self.column(&table, name)?;
            let property = table.columns[column].property_name();
            let mut output = self.output(property, OutputRole::Plain, Column { source, column });
            output.nested = Some(navigation.to_owned());
            self.push_output(output, name)?;
        }
        // Its absence tells that the navigation leads nowhere.
        self.add_primary_key(source, Some(navigation));
        Ok(())
    }

    fn add_primary_key(&mut self, source: usize, nested: Option<&str>) {
        let table = self.sources[source].table.clone();
        if let Some(key) = table.primary_key() {
            self.add_unasked(Column { source, column: key }, &table.primary_id, nested);
        }
    }

    /// Amounts come with the currency they are in, as in all answers of the Web API.
    fn add_currency(&mut self) {
        let amount = |o: &Output| {
            o.column.source == 0
                && o.role == OutputRole::Plain
                && o.facts().column_type == ColumnType::Money
        };
        if self.style != Style::OData || !self.outputs.iter().any(amount) {
            return;
        }
        let table = self.sources[0].table.clone();
        if let Some(column) = table.column_index("transactioncurrencyid") {
            let name = table.columns[column].property_name();
            self.add_unasked(Column { source: 0, column }, &name, None);
        }
    }

    fn add_unasked(&mut self, column: Column, name: &str, nested: Option<&str>) {
        let is_there = self.outputs.iter().any(|o| {
            o.column == column
                && o.role == OutputRole::Plain
                && o.nested.as_deref() == nested
                && !o.aliased
        });
        // Another column may have been given the key's name as its alias.
        let is_taken = self.outputs.iter().any(|o| o.name == name && o.nested.as_deref() == nested);
        if !is_there && !is_taken {
            let mut output = self.output(name.to_owned(), OutputRole::Plain, column);
            output.nested = nested.map(str::to_owned);
            self.outputs.push(output);
        }
    }

    /// The key of a column without an alias.
    fn answer_name(&self, source: usize, column: &catalog::Column) -> String {
        let from = &self.sources[source];
        match self.style {
            _ if source == 0 => column.property_name(),
            Style::FetchXml if self.joins[source - 1].link_type == LinkType::First => {
                column.schema_name.clone()
            }
            Style::FetchXml => format!("{}.{}", from.label, column.logical_name),
            Style::OData => format!("{}_{}", from.table.logical_name, column.property_name()),
        }
    }

    pub(super) fn output(&self, name: String, role: OutputRole, column: Column) -> Output {
        let table: Arc<Table> = self.sources[column.source].table.clone();
        Output {
            name,
            role,
            column,
            table,
            aliased: false,
            nested: None,
            hidden: false,
            name_output: None,
            type_output: None,
        }
    }

    /// Adds a visible output. The same column named twice is one; anything else
    /// with a name that is taken is a mistake.
    fn push_output(&mut self, output: Output, named: &Name) -> Result<()> {
        let taken =
            self.outputs.iter().find(|o| o.name == output.name && o.nested == output.nested);
        if let Some(taken) = taken {
            let same = taken.column == output.column && taken.role == output.role;
            if same && !taken.aliased && !output.aliased {
                return Ok(());
            }
            let message = format!("the alias '{}' stands twice", output.name);
            let code = self.code(codes::DUPLICATE_ALIAS);
            return Err(Error::invalid(code, message).at(named.at.clone()));
        }
        self.outputs.push(output);
        Ok(())
    }

    /// The hidden outputs that lookups' annotations are made of.
    pub(super) fn add_annotations(&mut self) {
        for index in 0..self.outputs.len() {
            let output = &self.outputs[index];
            let lookup = output.column;
            let annotated = matches!(output.role, OutputRole::Plain | OutputRole::Group(None));
            if !annotated || output.hidden || !output.facts().is_lookup() {
                continue;
            }
            let table = output.table.clone();
            let name = name_column(&table, lookup.column)
                .map(|column| self.hidden(index, Column { column, ..lookup }));
            let kind = type_column(&table, lookup.column)
                .map(|column| self.hidden(index, Column { column, ..lookup }));
            self.outputs[index].name_output = name;
            self.outputs[index].type_output = kind;
        }
    }

    /// The version of the root's rows, where the answer has rows of it.
    pub(super) fn add_version(&mut self) {
        let column = Column { source: 0, column: self.sources[0].table.version_index() };
        let is_there =
            |o: &Output| o.column == column && o.role == OutputRole::Plain && o.nested.is_none();
        if self.aggregate || self.distinct || self.outputs.iter().any(is_there) {
            return;
        }
        let mut output = self.output("@odata.etag".into(), OutputRole::Plain, column);
        output.hidden = true;
        self.outputs.push(output);
    }

    /// An output that belongs to another and is not shown. All rows of a group
    /// share it, so beside a group it is their maximum: a further group column
    /// could split groups where imported names differ.
    pub(super) fn hidden(&mut self, of: usize, column: Column) -> usize {
        let role = match self.outputs[of].role {
            OutputRole::Plain | OutputRole::CountChildren => OutputRole::Plain,
            OutputRole::Group(_) | OutputRole::Aggregate(_) => {
                OutputRole::Aggregate(Aggregate::Max)
            }
        };
        let same = |o: &Output| {
            o.hidden && o.column == column && o.role == role && o.nested == self.outputs[of].nested
        };
        if let Some(known) = self.outputs.iter().position(same) {
            return known;
        }
        let facts = &self.sources[column.source].table.columns[column.column];
        let name = format!("{}:{}", self.outputs[of].name, facts.logical_name);
        let mut output = self.output(name, role, column);
        output.hidden = true;
        output.nested = self.outputs[of].nested.clone();
        self.outputs.push(output);
        self.outputs.len() - 1
    }
}

/// Which types a function aggregates.
fn aggregates(function: Aggregate, column_type: ColumnType) -> bool {
    use ColumnType::{BigInt, DateTime, Decimal, Double, Integer, Money};
    let number = matches!(column_type, Integer | BigInt | Double | Decimal | Money);
    match function {
        Aggregate::Count | Aggregate::CountColumn { .. } => true,
        Aggregate::Sum | Aggregate::Avg => number,
        Aggregate::Min | Aggregate::Max => number || column_type == DateTime,
    }
}
