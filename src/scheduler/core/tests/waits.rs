//! Why jobs wait.

use super::*;

#[test]
fn everything_that_waits_says_why() {
    let mut told = Told::one_at_a_time();
    for n in 1..=4 {
        told.create(job(n));
    }
    let waits = told.core.waits(told.now);
    assert_eq!(waits.len(), 3, "the running one does not wait");
    assert!(waits[&id(4)].contains("1 of 1 running, position 3"), "{}", waits[&id(4)]);
    assert_eq!(waits[&id(4)], told.why(4).text);
}
