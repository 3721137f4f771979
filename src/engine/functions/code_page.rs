//! Code page 1252, in which `ASCII` and `CHAR` number characters.

/// What the numbers from 128 to 159 stand for.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The character of a number from 0 to 255.
pub(super) fn character(number: i64) -> Option<char> {
    let number = u8::try_from(number).ok()?;
    Some(match number {
        128..=159 => HIGH[usize::from(number - 128)],
        other => char::from(other),
    })
}

/// The number of a character; of those that the page lacks, that of `?`.
pub(super) fn number(c: char) -> u8 {
    if let Some(high) = HIGH.iter().position(|h| *h == c) {
        return 128 + high as u8;
    }
    u8::try_from(u32::from(c)).unwrap_or(b'?')
}
