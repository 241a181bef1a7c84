//! Damage to every file of a directory.

use super::{
    damage::{Tally, damage_all},
    remains::line_to_repeat,
};

#[test]
fn damage_anywhere_is_reported_and_never_answered_with_a_wrong_value() {
    if line_to_repeat().is_some() {
        return;
    }
    let mut tally = Tally::default();
    for script in [0, 2] {
        assert_eq!(damage_all(script, &mut tally), Ok(()));
    }
    let Tally { refused, in_part, whole, shorter } = tally;
    println!(
        "{} damaged directories: {refused} refused, {in_part} readable in part, {whole} not \
         affected, {shorter} with a shorter log",
        refused + in_part + whole + shorter
    );
    assert!(refused > 50 && whole > 0 && shorter > 0);
}
