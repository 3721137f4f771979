//! The placeholders of `FORMATMESSAGE`: `%s`, `%d` and their like, with flags,
//! width and precision.

use datafusion::common::Result;

use super::definition::refused;

/// `%-08.3x` taken apart.
#[derive(Default)]
struct Placeholder {
    left: bool,
    zeros: bool,
    plus: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// The message with its placeholders filled; without an argument they are null.
pub(super) fn filled(message: &str, arguments: &[Option<&str>]) -> Result<String> {
    let mut answer = String::with_capacity(message.len());
    let mut arguments = arguments.iter();
    let mut chars = message.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            answer.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            answer.push('%');
            continue;
        }
        let mut placeholder = Placeholder::default();
        while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
            match flag {
                '-' => placeholder.left = true,
                '0' => placeholder.zeros = true,
                '+' => placeholder.plus = true,
                ' ' => placeholder.space = true,
                _ => placeholder.sharp = true,
            }
        }
        placeholder.width = digits(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            placeholder.precision = Some(digits(&mut chars));
        }
        let Some(kind) = chars.next() else {
            return Err(unknown(message));
        };
        let argument = arguments.next().copied().flatten();
        let text = placeholder.text(kind, argument).ok_or_else(|| unknown(message))?;
        answer.push_str(&text);
    }
    Ok(answer)
}

fn unknown(message: &str) -> datafusion::common::DataFusionError {
    let message = format!("Invalid format specification in the message '{message}' (Msg 2787)");
    refused("22023", message)
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars>) -> usize {
    let mut number: usize = 0;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        number = number.saturating_mul(10).saturating_add(digit as usize);
        chars.next();
    }
    number.min(8_000)
}

impl Placeholder {
    fn text(&self, kind: char, argument: Option<&str>) -> Option<String> {
        let Some(argument) = argument else {
            return Some(self.padded("", "(null)"));
        };
        if kind == 's' {
            let cut = self.precision.map_or(argument.to_owned(), |most| {
                argument.chars().take(most).collect::<String>()
            });
            return Some(self.padded("", &cut));
        }
        let number: i64 = argument.trim().parse().ok()?;
        let unsigned = number as u32;
        let (sign, digits) = match kind {
            'd' | 'i' => {
                let sign = match number {
                    ..0 => "-",
                    _ if self.plus => "+",
                    _ if self.space => " ",
                    _ => "",
                };
                (sign, number.unsigned_abs().to_string())
            }
            'u' => ("", unsigned.to_string()),
            'o' => (if self.sharp { "0" } else { "" }, format!("{unsigned:o}")),
            'x' => (if self.sharp { "0x" } else { "" }, format!("{unsigned:x}")),
            'X' => (if self.sharp { "0X" } else { "" }, format!("{unsigned:X}")),
            _ => return None,
        };
        let digits = format!("{digits:0>width$}", width = self.precision.unwrap_or(1));
        Some(self.padded(sign, &digits))
    }

    fn padded(&self, sign: &str, text: &str) -> String {
        let room = self.width.saturating_sub(sign.len() + text.chars().count());
        if self.left {
            format!("{sign}{text}{}", " ".repeat(room))
        } else if self.zeros {
            format!("{sign}{}{text}", "0".repeat(room))
        } else {
            format!("{}{sign}{text}", " ".repeat(room))
        }
    }
}
