//! What tells SQL Server how to run a query: most of it means nothing here.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Setting, Value};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::{closing, is_word};

/// What an `OPTION (…)` says that means something here, and where it stood.
pub(super) struct QueryOption {
    /// The token before which it stood.
    pub before: usize,
    /// `MAXRECURSION n`.
    pub setting: Setting,
}

/// Takes out what tells SQL Server how to run a query, not what it means:
/// `OPTION (…)`, `FOR BROWSE`, and the algorithm in `INNER HASH JOIN`.
pub(super) fn without(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<QueryOption>) {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut options = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if is_word(tokens.get(i), "option")
            && let Some(end) = closing(&tokens, i + 1)
        {
            let setting = max_recursion(&tokens[i + 2..end]);
            options.extend(setting.map(|setting| QueryOption { before: kept.len(), setting }));
            i = end + 1;
            continue;
        }
        if is_word(tokens.get(i), "for") && is_word(tokens.get(i + 1), "browse") {
            i += 2;
            continue;
        }
        let algorithm = ["hash", "loop", "merge", "remote"];
        let join_hint = algorithm.iter().any(|a| is_word(tokens.get(i), a))
            && is_word(tokens.get(i + 1), "join")
            && ["inner", "left", "right", "full", "outer"]
                .iter()
                .any(|kind| is_word(kept.last(), kind));
        if !join_hint {
            kept.push(tokens[i].clone());
        }
        i += 1;
    }
    (kept, options)
}

/// `MAXRECURSION n` among the options of a query.
fn max_recursion(option: &[TokenWithSpan]) -> Option<Setting> {
    let at = option.iter().position(|t| is_word(Some(t), "maxrecursion"))?;
    let Token::Number(number, _) = &option.get(at + 1)?.token else { return None };
    let key = Ident::with_span(option[at].span, "maxrecursion");
    Some(Setting { key, value: Expr::value(Value::Number(number.clone(), false)) })
}
