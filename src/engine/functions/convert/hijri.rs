//! The Hijri calendar of styles 130 and 131, by the tabular Kuwaiti algorithm:
//! cycles of thirty years, of which the years 2, 5, 7, 10, 13, 16, 18, 21, 24,
//! 26 and 29 have a day more.

/// The day number, from 1970-01-01, of the day before the calendar's first.
const EPOCH: i64 = -492_149;

/// The months as style 130 names them.
pub(in crate::engine::functions) const MONTHS: [&str; 12] = [
    "محرم",
    "صفر",
    "ربيع الاول",
    "ربيع الثاني",
    "جمادى الاولى",
    "جمادى الثانية",
    "رجب",
    "شعبان",
    "رمضان",
    "شوال",
    "ذو القعدة",
    "ذو الحجة",
];

/// The day number of a date.
pub(in crate::engine::functions) fn day(year: i64, month: i64, day: i64) -> i64 {
    EPOCH + (year - 1) * 354 + (11 * year + 3).div_euclid(30) + 29 * (month - 1) + month / 2 + day
}

/// Year, month and day of a day number.
pub(in crate::engine::functions) fn date(number: i64) -> (i64, i64, i64) {
    let mut year = (30 * (number - EPOCH) + 10_646).div_euclid(10_631);
    while day(year, 1, 1) > number {
        year -= 1;
    }
    while day(year + 1, 1, 1) <= number {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| day(year, *month, 1) <= number).unwrap_or(1);
    (year, month, number - day(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::super::super::calendar;
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        for number in (calendar::day(1753, 1, 1)..calendar::day(2500, 1, 1)).step_by(7) {
            let (year, month, of_month) = date(number);
            assert_eq!(day(year, month, of_month), number);
            assert!((1..=30).contains(&of_month));
        }
        // The first of Muharram 1427.
        assert_eq!(date(calendar::day(2006, 1, 31)), (1427, 1, 1));
        assert_eq!(date(calendar::day(2006, 4, 18)), (1427, 3, 19));
    }
}
