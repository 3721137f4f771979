//! The options of each item of `$expand` as they were written, for links that
//! lead to the same rows. The text has been read before; it is well formed.

use super::resource::split;

/// For each item: its options by name.
pub fn options(text: &str) -> Vec<Vec<(String, String)>> {
    split(text, ',').into_iter().map(item).collect()
}

fn item(text: &str) -> Vec<(String, String)> {
    let inner = text.trim().strip_suffix(')').and_then(|t| t.split_once('('));
    let Some((_, inner)) = inner else { return Vec::new() };
    let pairs = split(inner, ';').into_iter().filter_map(|o| o.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_by_their_item() {
        let found =
            options("a, b($select=x,y;$filter=n eq ';)' and (m eq 1);$expand=c($top=1)),d()");
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let b =
            [("$select", "x,y"), ("$filter", "n eq ';)' and (m eq 1)"), ("$expand", "c($top=1)")];
        assert_eq!(found, [vec![], b.map(pair).to_vec(), vec![]]);
    }
}
