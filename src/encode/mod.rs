//! Record batches → bytes: Web API JSON for HTTP, tables and files for the
//! command line. Encoders take batches one at a time and never hold an answer
//! as a whole; values get their outside form (GUIDs and table names as text,
//! UTC times) in [`cells`] and nowhere else.

mod annotations;
mod cells;
mod columnar;
mod formatted;
mod rows;
mod text;
mod webapi;

pub use self::annotations::{Annotations, terms};
pub(crate) use self::cells::json_text;
pub use self::rows::{Format, RowWriter};
pub use self::webapi::{Locale, Prepared, WebApiEncoder};
