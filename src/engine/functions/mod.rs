//! Scalar functions that DataFusion lacks or means differently: SQL Server's
//! date arithmetic, conversions and text functions.
//!
//! Names that start with `sql_` are T-SQL's meaning of a name that DataFusion
//! has too. Times are microseconds UTC without a zone, text is `Utf8View`, a
//! GUID is `FixedSizeBinary(16)`. All are pure but `getdate`, which is one
//! value a statement.

mod arguments;
mod calendar;
mod conversions;
mod dates;
mod isnull;
mod now;
mod part;
mod styles;
mod table_name;
mod texts;

use std::sync::Arc;

use datafusion::logical_expr::{Expr, ScalarUDF};

pub use self::part::DatePart;
pub use self::styles::is_style;

/// The table name behind an object type code.
pub(super) fn table_name(code: Expr) -> Expr {
    ScalarUDF::new_from_impl(table_name::TableName::new()).call(vec![code])
}

/// All functions, for registration in a session.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        ScalarUDF::new_from_impl(isnull::IsNull::new()),
        ScalarUDF::new_from_impl(now::GetDate::new()),
        ScalarUDF::new_from_impl(table_name::TableName::new()),
    ];
    functions.extend(dates::all().map(ScalarUDF::new_from_impl));
    functions.extend(texts::all().map(ScalarUDF::new_from_impl));
    functions.extend(conversions::all().map(ScalarUDF::new_from_impl));
    functions.into_iter().map(Arc::new).collect()
}
