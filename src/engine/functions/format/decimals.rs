//! A number as its decimal digits, which is what formats are about.

/// `0.d₁d₂d₃… × 10^point`, without zeros in front or behind; zero has no digits.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine::functions) struct Decimals {
    pub negative: bool,
    digits: Vec<u8>,
    point: i32,
}

impl Decimals {
    /// A number of units of 10^-scale.
    pub fn scaled(number: i128, scale: i8) -> Self {
        let text = number.unsigned_abs().to_string();
        let point = text.len() as i32 - i32::from(scale);
        Self::new(number < 0, text.into_bytes(), point)
    }

    /// The fifteen digits of a float that are certain.
    pub fn of_float(number: f64) -> Self {
        let text = format!("{:.14e}", number.abs());
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).collect();
        Self::new(number < 0.0, digits, exponent.parse::<i32>().unwrap_or(0) + 1)
    }

    fn new(negative: bool, digits: Vec<u8>, point: i32) -> Self {
        let zeros = digits.iter().take_while(|d| **d == b'0').count();
        let mut digits = digits[zeros..].to_vec();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let point = if digits.is_empty() { 0 } else { point - zeros as i32 };
        Self { negative: negative && !digits.is_empty(), digits, point }
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Multiplied by a power of ten.
    pub fn shifted(&self, by: i32) -> Self {
        let point = if self.is_zero() { 0 } else { self.point + by };
        Self { point, ..self.clone() }
    }

    /// The exponent of the first digit.
    pub fn exponent(&self) -> i32 {
        if self.is_zero() { 0 } else { self.point - 1 }
    }

    /// How many significant digits there are.
    pub fn significant(&self) -> usize {
        self.digits.len()
    }

    /// With so many digits behind the point, half away from zero.
    pub fn rounded(&self, decimals: usize) -> Self {
        self.kept(self.point.saturating_add(i32::try_from(decimals).unwrap_or(i32::MAX)))
    }

    /// With so many significant digits.
    pub fn to_significant(&self, count: usize) -> Self {
        self.kept(i32::try_from(count).unwrap_or(i32::MAX))
    }

    fn kept(&self, count: i32) -> Self {
        let Ok(count) = usize::try_from(count) else {
            return Self::new(false, Vec::new(), 0);
        };
        if count >= self.digits.len() {
            return self.clone();
        }
        let mut digits = self.digits[..count].to_vec();
        let mut point = self.point;
        if self.digits[count] >= b'5' {
            match digits.iter().rposition(|d| *d != b'9') {
                Some(last) => {
                    digits[last] += 1;
                    digits[last + 1..].fill(b'0');
                }
                None => {
                    digits = vec![b'1'];
                    point += 1;
                }
            }
        }
        Self::new(self.negative, digits, point)
    }

    /// The digits before the point, none for less than one.
    pub fn whole(&self) -> String {
        (0..self.point.max(0)).map(|i| self.digit(i)).collect()
    }

    /// So many digits behind the point.
    pub fn fraction(&self, decimals: usize) -> String {
        (self.point..).take(decimals).map(|i| self.digit(i)).collect()
    }

    /// How many digits behind the point are not zeros at the end.
    pub fn decimals(&self) -> usize {
        usize::try_from(self.digits.len() as i32 - self.point).unwrap_or(0)
    }

    fn digit(&self, index: i32) -> char {
        let digit = usize::try_from(index).ok().and_then(|i| self.digits.get(i));
        digit.map_or('0', |d| char::from(*d))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_numbers() {
        let number = Decimals::scaled(-1_234_567, 3);
        assert_eq!((number.whole(), number.fraction(5)), ("1234".into(), "56700".into()));
        let rounded = number.rounded(2);
        assert_eq!((rounded.whole(), rounded.fraction(2)), ("1234".into(), "57".into()));
        assert_eq!(Decimals::scaled(9_996, 3).rounded(2).whole(), "10");
        assert!(Decimals::scaled(-4, 3).rounded(2).is_zero());
        assert_eq!(Decimals::scaled(5, 3).rounded(2).fraction(2), "01");
        let float = Decimals::of_float(0.1 + 0.2);
        assert_eq!((float.whole(), float.decimals()), (String::new(), 1));
        assert_eq!(Decimals::of_float(1.5e10).whole(), "15000000000");
    }
}
