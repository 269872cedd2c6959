//! Delta debugging of a list: which of its items does it take?

/// Makes a list smaller as long as `works` says of one of several shorter lists that it still does what it must: the place
/// of the first that does. Tries halves first, then smaller and smaller parts, in the end each item alone ("ddmin" of Zeller
/// and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002, without its tests of single parts).
pub(super) fn ddmin<T: Clone>(mut items: Vec<T>, mut works: impl FnMut(&[Vec<T>]) -> Option<usize>) -> Vec<T> {
    if items.is_empty() {
        return items;
    }
    if works(&[Vec::new()]).is_some() {
        return Vec::new();
    }
    let mut parts = 2;
    while items.len() > 1 {
        let size = items.len().div_ceil(parts);
        let without: Vec<Vec<T>> = (0..items.len())
            .step_by(size)
            .map(|start| {
                let end = (start + size).min(items.len());
                items[..start].iter().chain(&items[end..]).cloned().collect()
            })
            .collect();
        if let Some(place) = works(&without) {
            items.clone_from(&without[place]);
            parts = (parts - 1).max(2);
        } else if size == 1 {
            break;
        } else {
            parts = (2 * parts).min(items.len());
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::ddmin;

    /// What is left of 0..count when it takes all of `needed`, and how many lists were looked at.
    fn needed(count: u32, needed: &[u32]) -> (Vec<u32>, usize) {
        let mut looked = 0;
        let left = ddmin((0..count).collect(), |lists: &[Vec<u32>]| {
            let found = lists.iter().position(|list| needed.iter().all(|item| list.contains(item)));
            looked += found.map_or(lists.len(), |place| place + 1);
            found
        });
        (left, looked)
    }

    #[test]
    fn what_is_left_is_what_it_takes() {
        assert_eq!(needed(100, &[]), (vec![], 1));
        assert_eq!(needed(1, &[0]).0, [0]);
        assert_eq!(needed(0, &[]).0, [0; 0]);
        for one in 0..64 {
            let (left, looked) = needed(64, &[one]);
            assert_eq!(left, [one]);
            assert!(looked < 30, "{looked} lists for one item of 64");
        }
        assert_eq!(needed(1_000, &[3, 500, 999]).0, [3, 500, 999]);
        bolero::check!().with_type().with_iterations(300).cloned().for_each(|(count, mask): (u8, u64)| {
            let needed_items: Vec<u32> = (0..u32::from(count) % 64).filter(|bit| mask >> bit & 1 == 1).collect();
            assert_eq!(needed(u32::from(count) % 64, &needed_items).0, needed_items);
        });
    }
}
