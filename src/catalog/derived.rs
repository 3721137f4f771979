//! Tables that queries make of tables: with computed columns, or of the columns
//! of another query's answer.

use datafusion::arrow::datatypes::DataType;

use super::{Column, ColumnKind, ColumnType, Table, arrow};

impl Column {
    /// A column that a query computes.
    pub fn computed(name: &str, column_type: ColumnType, format: Option<&str>) -> Self {
        Self {
            logical_name: name.to_owned(),
            schema_name: name.to_owned(),
            column_type,
            max_length: None,
            min: None,
            max: None,
            precision: None,
            format: format.map(str::to_owned),
            date_behavior: None,
            display_name: None,
            targets: Vec::new(),
            options: Vec::new(),
            attribute_of: None,
            required: "None".into(),
            create: false,
            read: true,
            update: false,
            description: "Computed by a query".into(),
            kind: ColumnKind::Stored,
        }
    }

    /// The Arrow type of the column's values.
    pub fn data_type(&self) -> DataType {
        arrow::data_type(self)
    }
}

impl Table {
    /// A table that is no table of Dataverse: a view of the catalogs.
    pub fn listed(name: &str, columns: Vec<Column>) -> Self {
        let mut table = Self {
            logical_name: name.to_owned(),
            schema_name: name.to_owned(),
            entity_set_name: String::new(),
            object_type_code: 0,
            primary_id: String::new(),
            primary_name: None,
            ownership: "None".into(),
            display_name: None,
            description: String::new(),
            is_custom: false,
            columns,
            many_to_one: Vec::new(),
            one_to_many: Vec::new(),
            by_name: Default::default(),
            schema: None,
        };
        table.index();
        table
    }

    /// This table with one more column.
    pub fn with_column(&self, column: Column) -> Self {
        let mut columns = self.columns.clone();
        columns.push(column);
        self.derived(columns, true)
    }

    /// A table of these columns under this one's name, with the relationships whose
    /// columns are among them. `keyed`: the primary key still tells rows apart.
    pub fn derived(&self, columns: Vec<Column>, keyed: bool) -> Self {
        let kept = |name: &str| columns.iter().any(|c| c.is_lookup() && c.logical_name == name);
        let many_to_one = self.many_to_one.iter().filter(|r| kept(&r.column)).cloned().collect();
        let one_to_many = if keyed { self.one_to_many.clone() } else { Vec::new() };
        let mut table = Self {
            logical_name: self.logical_name.clone(),
            schema_name: self.schema_name.clone(),
            entity_set_name: self.entity_set_name.clone(),
            object_type_code: self.object_type_code,
            primary_id: if keyed { self.primary_id.clone() } else { String::new() },
            primary_name: self.primary_name.clone(),
            ownership: self.ownership.clone(),
            display_name: self.display_name.clone(),
            description: self.description.clone(),
            is_custom: self.is_custom,
            columns,
            many_to_one,
            one_to_many,
            by_name: Default::default(),
            schema: None,
        };
        table.index();
        table
    }
}
