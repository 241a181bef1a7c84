//! Names of lines at their ends, so that none covers another.

/// Moves the wished places apart until each has `gap` to the next, and none lies outside of
/// `least..=most` as far as there is room for all; in the order of the wishes.
pub(super) fn spread(wishes: &[f64], gap: f64, [least, most]: [f64; 2]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by(|a, b| wishes[*a].total_cmp(&wishes[*b]));
    let mut places = wishes.to_vec();
    let mut free = least;
    for &which in &order {
        places[which] = places[which].max(free);
        free = places[which] + gap;
    }
    // The last may have been pushed over the edge: back, and the others before it.
    let mut free = most;
    for &which in order.iter().rev() {
        places[which] = places[which].min(free);
        free = places[which] - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance_and_their_order() {
        assert_eq!(spread(&[10.0, 50.0], 15.0, [0.0, 100.0]), [10.0, 50.0]);
        assert_eq!(spread(&[50.0, 51.0, 49.0], 15.0, [0.0, 100.0]), [64.0, 79.0, 49.0]);
        assert_eq!(spread(&[99.0, 98.0], 15.0, [0.0, 100.0]), [100.0, 85.0]);
        assert_eq!(spread(&[-3.0], 15.0, [0.0, 100.0]), [0.0]);
    }
}
