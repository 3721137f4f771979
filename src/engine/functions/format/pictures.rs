//! Custom formats of numbers: `#,##0.00;(0);-`.

use super::cultures::Culture;
use super::decimals::Decimals;

/// A piece of a picture.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// `0`
    Zero,
    /// `#`
    Digit,
    Point,
    Comma,
    Percent,
    PerMille,
    /// `E+00`: the letter, whether plus is shown, how many digits at least.
    Exponent(char, bool, usize),
    Literal(char),
}

/// A number as a picture shows it.
pub(super) fn written(number: &Decimals, format: &str, culture: &Culture) -> String {
    let sections = sections(format);
    let picked = |index: usize| sections.get(index).filter(|pieces| !pieces.is_empty());
    let main = sections.first().map(Vec::as_slice).unwrap_or_default();
    let zero = picked(2).map_or(main, Vec::as_slice);
    if number.is_zero() {
        return Picture::of(zero).written(number, culture);
    }
    let (pieces, own_sign) = match picked(1).filter(|_| number.negative) {
        Some(negative) => (negative.as_slice(), true),
        None => (main, false),
    };
    let picture = Picture::of(pieces);
    // What is rounded to nothing is shown as zero is.
    if picture.scaled(number).0.is_zero() {
        return Picture::of(zero).written(&Decimals::scaled(0, 0), culture);
    }
    let text = picture.written(number, culture);
    if number.negative && !own_sign { format!("-{text}") } else { text }
}

/// The sections between semicolons as pieces.
fn sections(format: &str) -> Vec<Vec<Piece>> {
    let mut sections = vec![Vec::new()];
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        let section = sections.last_mut().expect("there is always one");
        match c {
            ';' => sections.push(Vec::new()),
            '0' => section.push(Piece::Zero),
            '#' => section.push(Piece::Digit),
            '.' => section.push(Piece::Point),
            ',' => section.push(Piece::Comma),
            '%' => section.push(Piece::Percent),
            '‰' => section.push(Piece::PerMille),
            '\\' => section.extend(chars.next().map(Piece::Literal)),
            '\'' | '"' => {
                section.extend(chars.by_ref().take_while(|next| *next != c).map(Piece::Literal));
            }
            'e' | 'E' => {
                let mut ahead = chars.clone();
                let plus = ahead.next_if_eq(&'+').is_some();
                let minus = !plus && ahead.next_if_eq(&'-').is_some();
                let mut zeros = 0;
                while ahead.next_if_eq(&'0').is_some() {
                    zeros += 1;
                }
                if zeros == 0 {
                    section.push(Piece::Literal(c));
                    continue;
                }
                section.push(Piece::Exponent(c, plus && !minus, zeros));
                chars = ahead;
            }
            other => section.push(Piece::Literal(other)),
        }
    }
    sections
}

/// A section with what its pieces say together.
struct Picture<'p> {
    pieces: &'p [Piece],
    /// Placeholders before the point, and how many digits are shown at least.
    wholes: usize,
    whole_least: usize,
    /// Placeholders behind the point, and how many digits are shown at least.
    fractions: usize,
    fraction_least: usize,
    groups: bool,
    /// The power of ten that `%` and commas before the point stand for.
    shift: i32,
    exponent: bool,
}

impl<'p> Picture<'p> {
    fn of(pieces: &'p [Piece]) -> Self {
        let point = pieces.iter().position(|piece| *piece == Piece::Point);
        let (before, after) = pieces.split_at(point.unwrap_or(pieces.len()));
        let placeholders = |pieces: &[Piece]| -> Vec<bool> {
            let zeros = pieces.iter().filter(|p| matches!(p, Piece::Zero | Piece::Digit));
            zeros.map(|piece| *piece == Piece::Zero).collect()
        };
        let (wholes, fractions) = (placeholders(before), placeholders(after));
        let is_placeholder = |piece: &Piece| matches!(piece, Piece::Zero | Piece::Digit);
        let last = before.iter().rposition(is_placeholder);
        let first = before.iter().position(is_placeholder);
        let commas = |from: usize, to: usize| {
            before[from..to].iter().filter(|piece| **piece == Piece::Comma).count()
        };
        let (groups, thousands) = match first.zip(last) {
            Some((first, last)) => (commas(first, last) > 0, commas(last, before.len())),
            None => (false, 0),
        };
        let count = |wanted: Piece| pieces.iter().filter(|piece| **piece == wanted).count() as i32;
        Self {
            pieces,
            whole_least: wholes.iter().position(|zero| *zero).map_or(0, |at| wholes.len() - at),
            wholes: wholes.len(),
            fraction_least: fractions.iter().rposition(|zero| *zero).map_or(0, |at| at + 1),
            fractions: fractions.len(),
            groups,
            shift: 2 * count(Piece::Percent) + 3 * count(Piece::PerMille) - 3 * thousands as i32,
            exponent: pieces.iter().any(|piece| matches!(piece, Piece::Exponent(..))),
        }
    }

    /// The number that the placeholders show, and its exponent.
    fn scaled(&self, number: &Decimals) -> (Decimals, i32) {
        let number = number.shifted(self.shift);
        if !self.exponent || number.is_zero() {
            return (number.rounded(self.fractions), 0);
        }
        let wholes = i32::try_from(self.wholes).unwrap_or(1).max(1);
        let digits = self.wholes.max(1) + self.fractions;
        let number = number.to_significant(digits);
        let exponent = number.exponent() + 1 - wholes;
        (number.shifted(-exponent), exponent)
    }

    fn written(&self, number: &Decimals, culture: &Culture) -> String {
        let (number, exponent) = self.scaled(number);
        let whole = format!("{:0>1$}", number.whole(), self.whole_least);
        let whole: Vec<char> = whole.chars().collect();
        let shown =
            number.decimals().clamp(self.fraction_least, self.fractions.max(self.fraction_least));
        let mut fraction = number.fraction(shown).chars().collect::<Vec<_>>().into_iter();
        let mut text = String::new();
        let (mut seen, mut behind) = (0, false);
        let put = |from: usize, to: usize, text: &mut String| {
            for (i, digit) in whole.iter().enumerate().take(to).skip(from) {
                text.push(*digit);
                let left = whole.len() - i - 1;
                if self.groups && left > 0 && left.is_multiple_of(3) {
                    text.push_str(culture.group);
                }
            }
        };
        for piece in self.pieces {
            match piece {
                Piece::Zero | Piece::Digit if behind => text.extend(fraction.next()),
                Piece::Zero | Piece::Digit => {
                    // The first placeholder shows all digits that have none.
                    let left = self.wholes - seen;
                    let from = if seen == 0 { 0 } else { whole.len().saturating_sub(left) };
                    let to = (whole.len() + 1).saturating_sub(left);
                    put(from, to, &mut text);
                    seen += 1;
                }
                Piece::Point if !behind => {
                    behind = true;
                    if self.wholes == 0 {
                        put(0, whole.len(), &mut text);
                    }
                    if shown > 0 {
                        text.push_str(culture.decimal);
                    }
                }
                Piece::Point | Piece::Comma => {}
                Piece::Percent => text.push('%'),
                Piece::PerMille => text.push('‰'),
                Piece::Exponent(letter, plus, digits) => {
                    let sign = match exponent {
                        ..0 => "-",
                        _ if *plus => "+",
                        _ => "",
                    };
                    text.push_str(&format!("{letter}{sign}{:0digits$}", exponent.abs()));
                }
                Piece::Literal(c) => text.push(*c),
            }
        }
        text
    }
}
