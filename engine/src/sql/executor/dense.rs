//! Numbers of integers that are close to each other: a list with a place for each integer from the least to the greatest,
//! and some beyond. To find one is to look at one place of four bytes, where a hash table would compare an entry of
//! sixteen. Databases that run on columns call this a perfect hash join.

/// No number.
const NONE: u32 = u32::MAX;

/// The most places for each integer, without those beyond. With these, which are half as many, it takes about as much
/// memory as a hash table does at its largest.
const PLACES: u64 = 6;

/// Numbers of integers.
pub(super) struct Dense {
    /// The integer that has the first place.
    first: i64,
    numbers: Vec<u32>,
}

impl Dense {
    /// No numbers yet, for `count` integers of a range, if these are close to each other.
    pub fn between(least: i64, greatest: i64, count: usize) -> Option<Self> {
        let mut dense = Self { first: least, numbers: Vec::new() };
        dense.reach(least, greatest, count).then_some(dense)
    }

    /// Where the place of an integer is or would be.
    #[inline]
    fn place(&self, n: i64) -> usize {
        // One that is less than the first wraps around to where no place is.
        usize::try_from(n.wrapping_sub(self.first) as u64).unwrap_or(usize::MAX)
    }

    /// The number of an integer.
    #[inline]
    pub fn get(&self, n: i64) -> Option<u32> {
        self.numbers.get(self.place(n)).copied().filter(|number| *number != NONE)
    }

    /// Gives a number to an integer that has a place.
    pub fn set(&mut self, n: i64, number: u32) {
        assert_ne!(number, NONE, "the number of no integer");
        let place = self.place(n);
        self.numbers[place] = number;
    }

    /// Makes places for a range in which all `count` integers are, if these are close enough to each other, and says
    /// whether they are.
    pub fn reach(&mut self, least: i64, greatest: i64, count: usize) -> bool {
        if self.place(least) < self.numbers.len() && self.place(greatest) < self.numbers.len() {
            return true;
        }
        let size = greatest.abs_diff(least).saturating_add(1);
        if size > PLACES.saturating_mul(count as u64) {
            return false;
        }
        // On both sides, or integers that come at one and the other in turn would have it moved each time.
        let beyond = (size / 4) as i64;
        let first = least.saturating_sub(beyond);
        let last = greatest.saturating_add(beyond);
        let before = std::mem::replace(self, Self { first, numbers: vec![NONE; last.abs_diff(first) as usize + 1] });
        before.iter().for_each(|(n, number)| self.set(n, number));
        true
    }

    /// The integers and their numbers, in the integers' order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u32)> {
        let numbered = self.numbers.iter().enumerate().filter(|(_, number)| **number != NONE);
        numbered.map(|(place, number)| (self.first + place as i64, *number))
    }
}
