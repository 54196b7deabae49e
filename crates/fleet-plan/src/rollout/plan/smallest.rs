//! The smallest set that cannot hold together, by trying every set in the order of their sizes.

/// The first set of fewer than `below` items that `clashes`, by size and then by the order of the items. `None` when there
/// is none, and when `clashes` answers nothing any more, because it was asked for too much.
pub(super) fn smallest<T: Copy>(
    items: &[T],
    below: usize,
    mut clashes: impl FnMut(&[T]) -> Option<bool>,
) -> Option<Vec<T>> {
    for size in 1..below.min(items.len().saturating_add(1)) {
        let mut chosen: Vec<usize> = (0..size).collect();
        loop {
            let set: Vec<T> = chosen.iter().filter_map(|index| items.get(*index)).copied().collect();
            if clashes(&set)? {
                return Some(set);
            }
            if !advance(&mut chosen, items.len()) {
                break;
            }
        }
    }
    None
}

/// The next choice of as many of `count` items; false after the last.
fn advance(chosen: &mut [usize], count: usize) -> bool {
    let size = chosen.len();
    for place in (0..size).rev() {
        let next = chosen.get(place).map_or(count, |at| at + 1);
        if next + (size - place) <= count {
            for (index, later) in (next..).zip(chosen.iter_mut().skip(place)) {
                *later = index;
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_tried_once_by_size_and_order() {
        let mut tried = Vec::new();
        let found = smallest(&['a', 'b', 'c', 'd'], 4, |set| {
            tried.push(set.iter().collect::<String>());
            Some(false)
        });
        assert_eq!(found, None);
        let expected = "a b c d ab ac ad bc bd cd abc abd acd bcd";
        assert_eq!(tried.join(" "), expected);
    }

    #[test]
    fn the_first_that_clashes_is_found_and_nothing_as_large_as_what_is_known() {
        let clash = |set: &[i32]| Some(set.contains(&2) && set.contains(&3));
        assert_eq!(smallest(&[1, 2, 3], 4, clash), Some(vec![2, 3]));
        assert_eq!(smallest(&[1, 2, 3], 2, clash), None);
        assert_eq!(smallest(&[], 4, clash), None);
    }

    #[test]
    fn whoever_is_asked_for_too_much_ends_the_search() {
        let mut left = 3;
        let found = smallest(&[1, 2, 3, 4], 4, |_| {
            left -= 1;
            (left > 0).then_some(false)
        });
        assert_eq!((found, left), (None, 0));
    }
}
