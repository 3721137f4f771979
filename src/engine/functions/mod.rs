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
mod texts;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub use self::part::DatePart;
pub use self::styles::is_style;

/// All functions, for registration in a session.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        ScalarUDF::new_from_impl(isnull::IsNull::new()),
        ScalarUDF::new_from_impl(now::GetDate::new()),
    ];
    functions.extend(dates::all().map(ScalarUDF::new_from_impl));
    functions.extend(texts::all().map(ScalarUDF::new_from_impl));
    functions.extend(conversions::all().map(ScalarUDF::new_from_impl));
    functions.into_iter().map(Arc::new).collect()
}
