//! PostgreSQL's functions that tools send, as PostgreSQL means them.

mod patterns;
mod texts;
mod times;
mod to_char;

use super::definition::Definition;

/// The tables of these functions.
pub(super) fn tables() -> impl Iterator<Item = &'static [Definition]> {
    [patterns::FUNCTIONS, texts::FUNCTIONS, times::FUNCTIONS, to_char::FUNCTIONS].into_iter()
}
