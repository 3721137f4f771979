//! Where the value stands that an error names: a conversion fails while a query is
//! planned or run, when nobody knows any more where its texts and numbers were written.

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// Messages about a value that does not convert, by SQL Server's numbers.
const CONVERSIONS: &[u32] = &[220, 232, 235, 241, 244, 245, 248, 295, 8114, 8169];

/// The place of the literal that a message is about; none if it is not written in the
/// query, or more than once.
pub(super) fn place(message: &str, tokens: &[TokenWithSpan]) -> Option<Location> {
    let (said, rest) = message.rsplit_once(" (Msg ")?;
    let number = rest.split(')').next()?.parse().ok()?;
    if !CONVERSIONS.contains(&number) {
        return None;
    }
    let named = Named::of(said)?;
    let mut places = tokens.iter().filter(|token| named.is(&token.token));
    let place = places.next()?.span.start;
    places.next().is_none().then_some(place)
}

/// A value as a message has it.
enum Named<'m> {
    Text(&'m str),
    Number(f64),
}

impl<'m> Named<'m> {
    fn of(said: &'m str) -> Option<Self> {
        if let Some((_, number)) = said.rsplit_once("value = ") {
            return number.parse().ok().map(Self::Number);
        }
        let (first, last) = (said.find('\'')?, said.rfind('\'')?);
        said.get(first + 1..last).map(Self::Text)
    }

    fn is(&self, token: &Token) -> bool {
        match (self, token) {
            (
                Self::Text(text),
                Token::SingleQuotedString(written)
                | Token::NationalStringLiteral(written)
                | Token::EscapedStringLiteral(written),
            ) => written == text,
            (Self::Number(number), Token::Number(written, _)) => {
                written.parse::<f64>().is_ok_and(|written| written == number.abs())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::MsSqlDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn column(message: &str, text: &str) -> Option<u64> {
        let tokens = Tokenizer::new(&MsSqlDialect {}, text).tokenize_with_location();
        place(message, &tokens.expect("tokens")).map(|place| place.column)
    }

    #[test]
    fn a_literal_that_is_written_once_is_found() {
        let text = "SELECT CAST('it''s' AS int), CAST(300 AS tinyint), 'x', N'x'";
        let it = "Conversion failed when converting the varchar value 'it's' to data type int";
        assert_eq!(column(&format!("{it} (Msg 245)"), text), Some(13));
        let large = "Arithmetic overflow error for data type tinyint, value = 300 (Msg 220)";
        assert_eq!(column(large, text), Some(35));
        let twice = "Error converting data type varchar to float: 'x' (Msg 8114)";
        assert_eq!(column(twice, text), None);
        let elsewhere = "Error converting data type varchar to float: 'y' (Msg 8114)";
        assert_eq!(column(elsewhere, text), None);
    }

    #[test]
    fn other_messages_name_no_literal() {
        assert_eq!(column("Invalid column name 'x' (Msg 207)", "SELECT 'x'"), None);
        assert_eq!(column("something about 'x'", "SELECT 'x'"), None);
    }
}
