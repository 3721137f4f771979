//! Sizes of memory as options give them.

use crate::store::machine_memory;

/// Units of bytes.
const UNITS: [(&str, usize); 5] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];

/// Bytes, a number with a unit, or a share of the machine's memory.
pub fn budget(text: &str) -> Result<usize, String> {
    of(text, machine_memory())
}

fn of(text: &str, machine: Option<usize>) -> Result<usize, String> {
    let refused = || format!("'{text}' is neither bytes, nor a size as 512MiB, nor a share as 50%");
    if let Some(share) = text.strip_suffix('%') {
        let share: u8 = share.trim().parse().map_err(|_| refused())?;
        let machine = machine.ok_or("this machine does not say how much memory it has")?;
        return match share {
            1..=100 => Ok(machine / 100 * usize::from(share)),
            _ => Err("a share lies between 1% and 100%".to_owned()),
        };
    }
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, unit) = unit.unwrap_or((text, 1));
    let number: usize = number.trim().parse().map_err(|_| refused())?;
    number.checked_mul(unit).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_form() {
        let machine = Some(1000);
        let cases = [("4096", 4096), ("512MiB", 512 << 20), ("2 GiB", 2 << 30), ("50%", 500)];
        for (text, bytes) in cases {
            assert_eq!(of(text, machine), Ok(bytes), "{text}");
        }
        for text in ["", "%", "0%", "101%", "-1", "1.5GiB", "12MB", "99999999TiB"] {
            assert!(of(text, machine).is_err(), "{text}");
        }
        assert!(of("50%", None).is_err());
    }
}
