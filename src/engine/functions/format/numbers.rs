//! The standard formats of numbers, a letter and a precision: `N2`, `C`, `P1`.

use super::cultures::Culture;
use super::decimals::Decimals;
use super::pictures;

/// A number in a format, or nothing if it is no format of such numbers.
pub(super) fn written(
    number: &Decimals,
    whole: bool,
    format: &str,
    culture: &Culture,
) -> Option<String> {
    let mut chars = format.chars();
    let letter = match chars.next() {
        None => return Some(general(number, 'G', None, whole, culture)),
        Some(letter) => letter,
    };
    let rest = chars.as_str();
    let standard =
        letter.is_ascii_alphabetic() && rest.len() <= 2 && rest.bytes().all(|b| b.is_ascii_digit());
    if !standard {
        return Some(pictures::written(number, format, culture));
    }
    let precision = rest.parse::<usize>().ok();
    let signed = |number: &Decimals, text: String| {
        if number.negative { format!("-{text}") } else { text }
    };
    Some(match letter.to_ascii_uppercase() {
        'C' => {
            let number = number.rounded(precision.unwrap_or(2));
            let text = grouped(&number, precision.unwrap_or(2), culture);
            let pattern =
                if number.negative { culture.currency_negative } else { culture.currency };
            pattern.replace('n', &text).replace('$', culture.symbol)
        }
        'D' if whole => {
            signed(number, format!("{:0>1$}", number.whole(), precision.unwrap_or(1).max(1)))
        }
        'X' if whole => hexadecimal(number, letter, precision.unwrap_or(1)),
        'D' | 'X' => return None,
        'E' => exponential(number, letter, precision.unwrap_or(6), 3, true, culture),
        'F' => {
            let number = number.rounded(precision.unwrap_or(2));
            signed(&number, plain(&number, precision.unwrap_or(2), culture))
        }
        'G' => general(number, letter, precision.filter(|p| *p > 0), whole, culture),
        'N' => {
            let number = number.rounded(precision.unwrap_or(2));
            signed(&number, grouped(&number, precision.unwrap_or(2), culture))
        }
        'P' => {
            let number = number.shifted(2).rounded(precision.unwrap_or(2));
            let text = grouped(&number, precision.unwrap_or(2), culture);
            signed(&number, culture.percent.replace('n', &text))
        }
        // Only floats have a round trip.
        'R' if !whole => general(number, 'G', None, whole, culture),
        _ => return None,
    })
}

/// Digits with groups of three, without a sign.
fn grouped(number: &Decimals, decimals: usize, culture: &Culture) -> String {
    let whole = number.whole();
    let mut text = String::new();
    for (i, digit) in whole.chars().enumerate() {
        let left = whole.len() - i;
        if i > 0 && left.is_multiple_of(3) {
            text.push_str(culture.group);
        }
        text.push(digit);
    }
    with_fraction(text, number, decimals, culture)
}

fn plain(number: &Decimals, decimals: usize, culture: &Culture) -> String {
    with_fraction(number.whole(), number, decimals, culture)
}

fn with_fraction(whole: String, number: &Decimals, decimals: usize, culture: &Culture) -> String {
    let whole = if whole.is_empty() { "0".to_owned() } else { whole };
    if decimals == 0 {
        return whole;
    }
    format!("{whole}{}{}", culture.decimal, number.fraction(decimals))
}

/// A negative number is shown as the complement of the smallest type it fits.
fn hexadecimal(number: &Decimals, letter: char, least: usize) -> String {
    let magnitude = number.whole().parse::<i128>().unwrap_or(0);
    let value = if number.negative { -magnitude } else { magnitude };
    let bits = match i32::try_from(value) {
        Ok(value) => u64::from(value as u32),
        Err(_) => value as u64,
    };
    if letter == 'X' { format!("{bits:0least$X}") } else { format!("{bits:0least$x}") }
}

/// `1.234560E+004`.
fn exponential(
    number: &Decimals,
    letter: char,
    decimals: usize,
    exponent_digits: usize,
    zeros: bool,
    culture: &Culture,
) -> String {
    let number = number.to_significant(decimals + 1);
    let mantissa = number.shifted(-number.exponent());
    let decimals = if zeros { decimals } else { mantissa.decimals() };
    let exponent = number.exponent();
    let sign = if number.negative { "-" } else { "" };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "{sign}{}{letter}{exponent_sign}{:0exponent_digits$}",
        plain(&mantissa, decimals, culture),
        exponent.abs()
    )
}

/// The shorter of plain and exponential.
fn general(
    number: &Decimals,
    letter: char,
    precision: Option<usize>,
    whole: bool,
    culture: &Culture,
) -> String {
    let number = match precision {
        Some(precision) => number.to_significant(precision),
        None => number.clone(),
    };
    let most = match precision {
        Some(precision) => precision,
        None if whole => usize::MAX,
        None => number.significant().max(15),
    };
    let exponent = number.exponent();
    if exponent >= i32::try_from(most).unwrap_or(i32::MAX) || exponent < -5 {
        let letter = if letter == 'g' { 'e' } else { 'E' };
        let digits = number.significant().saturating_sub(1);
        return exponential(&number, letter, digits, 2, false, culture);
    }
    let text = plain(&number, number.decimals(), culture);
    if number.negative { format!("-{text}") } else { text }
}
