//! The three query languages: text in, `query` forms or a checked T-SQL statement out.

pub mod fetchxml;
pub mod tsql;
