//! All rules. Each is one SQL question over the live tables, with thresholds beside it
//! that say why they are what they are.

mod attempts;
mod definitions;
mod failures;
mod keeping;
mod queue;
mod waiting;

use super::rule::Rule;

/// The rules, those that matter most first.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    let groups = [
        queue::RULES,
        definitions::RULES,
        attempts::RULES,
        failures::RULES,
        waiting::RULES,
        keeping::RULES,
    ];
    groups.into_iter().flatten()
}
