//! Lengths and positions of text, which SQL Server counts in UTF-16 code units:
//! a character outside the Basic Multilingual Plane counts as two. Half of such
//! a character, which only a cut can leave, is shown as U+FFFD.

use std::borrow::Cow;

/// How many units a text has.
pub(super) fn count(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().map(char::len_utf16).sum()
}

/// The text from one unit up to another.
pub(super) fn slice(text: &str, from: usize, to: usize) -> Cow<'_, str> {
    if from >= to {
        return Cow::Borrowed("");
    }
    let (start, half_start) = place(text, from);
    let (end, half_end) = place(text, to);
    if !half_start && !half_end {
        return Cow::Borrowed(&text[start..end]);
    }
    let mut cut = String::with_capacity(end - start + 3);
    if half_start {
        cut.push(char::REPLACEMENT_CHARACTER);
    }
    let start = if half_start { next(text, start) } else { start };
    cut.push_str(text.get(start..end).unwrap_or_default());
    if half_end {
        cut.push(char::REPLACEMENT_CHARACTER);
    }
    Cow::Owned(cut)
}

/// The byte at which a unit starts, and whether the unit is the second half of
/// the character there; a unit beyond the text is its end.
fn place(text: &str, unit: usize) -> (usize, bool) {
    if text.is_ascii() {
        return (unit.min(text.len()), false);
    }
    let mut units = 0;
    for (byte, c) in text.char_indices() {
        if units == unit {
            return (byte, false);
        }
        units += c.len_utf16();
        if units > unit {
            return (byte, true);
        }
    }
    (text.len(), false)
}

fn next(text: &str, byte: usize) -> usize {
    text[byte..].chars().next().map_or(byte, |c| byte + c.len_utf8())
}

/// The byte at which the unit starts, or its character; for searches.
pub(super) fn byte_of(text: &str, unit: usize) -> usize {
    place(text, unit).0
}

/// The unit, from 1, that starts at this byte.
pub(super) fn position_of(text: &str, byte: usize) -> i32 {
    i32::try_from(count(&text[..byte]) + 1).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_of_two_units_is_cut_in_halves() {
        assert_eq!(count("a😀b"), 4);
        assert_eq!(slice("a😀b", 0, 1), "a");
        assert_eq!(slice("a😀b", 0, 2), "a\u{FFFD}");
        assert_eq!(slice("a😀b", 1, 3), "😀");
        assert_eq!(slice("a😀b", 2, 4), "\u{FFFD}b");
        assert_eq!(slice("a😀b", 3, 9), "b");
        assert_eq!(slice("äb", 1, 2), "b");
        assert_eq!(slice("abc", 2, 1), "");
        assert_eq!(position_of("a😀b", byte_of("a😀b", 3)), 4);
    }
}
