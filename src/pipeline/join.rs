//! Join: two listings of one directory, each sorted by name, become one sequence of names.
//!
//! Every name comes out once, in byte order, with the entries of the sides that have it. The
//! scan goes directory by directory and depth first, so what comes out over a whole run is the
//! merge-join of the two trees on sorted relative paths, without an order to wait for.

use std::cmp::Ordering;

use crate::model::{Entry, Joined};

/// One side's entries of a directory, sorted by name, no name twice.
pub trait Sorted {
    /// How many there are.
    fn count(&self) -> usize;
    /// The one at `index`, which is less than [`Sorted::count`].
    fn get(&self, index: usize) -> (&[u8], &Entry);
}

/// Merges two sorted sides.
///
/// ```
/// use ha_sync::model::{Entry, Joined};
/// use ha_sync::pipeline::{Sorted, join};
///
/// struct Side(Vec<(&'static str, Entry)>);
///
/// impl Sorted for Side {
///     fn count(&self) -> usize {
///         self.0.len()
///     }
///     fn get(&self, index: usize) -> (&[u8], &Entry) {
///         (self.0[index].0.as_bytes(), &self.0[index].1)
///     }
/// }
///
/// let side = |names: &[&'static str]| {
///     Side(names.iter().map(|name| (*name, Entry::unreadable(0))).collect())
/// };
/// let (source, dest) = (side(&["a", "b"]), side(&["b", "c"]));
/// let names: Vec<_> = join(&source, &dest)
///     .map(|(name, joined)| match joined {
///         Joined::SourceOnly(_) => (name, "source"),
///         Joined::DestOnly(_) => (name, "dest"),
///         Joined::Both(..) => (name, "both"),
///     })
///     .collect();
/// assert_eq!(names, [(&b"a"[..], "source"), (b"b", "both"), (b"c", "dest")]);
/// ```
pub fn join<'a, L: Sorted + ?Sized>(source: &'a L, dest: &'a L) -> Join<'a, L> {
    Join { source, dest, next_source: 0, next_dest: 0 }
}

/// The iterator that [`join`] returns.
pub struct Join<'a, L: ?Sized> {
    source: &'a L,
    dest: &'a L,
    next_source: usize,
    next_dest: usize,
}

impl<'a, L: Sorted + ?Sized> Iterator for Join<'a, L> {
    type Item = (&'a [u8], Joined<&'a Entry>);

    fn next(&mut self) -> Option<Self::Item> {
        let source =
            (self.next_source < self.source.count()).then(|| self.source.get(self.next_source));
        let dest = (self.next_dest < self.dest.count()).then(|| self.dest.get(self.next_dest));
        let order = match (source, dest) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let source = source.filter(|_| order != Ordering::Greater);
        let dest = dest.filter(|_| order != Ordering::Less);
        self.next_source += usize::from(source.is_some());
        self.next_dest += usize::from(dest.is_some());
        let (name, _) = source.or(dest)?;
        Some((name, Joined::new(source.map(|side| side.1), dest.map(|side| side.1))?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    struct Side(Vec<(Vec<u8>, Entry)>);

    impl Sorted for Side {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn get(&self, index: usize) -> (&[u8], &Entry) {
            (&self.0[index].0, &self.0[index].1)
        }
    }

    /// Names of few letters, so that both sides often hold the same one. The entry tells where it
    /// came from.
    fn side(mark: i32) -> impl Strategy<Value = BTreeMap<Vec<u8>, Entry>> {
        let name = proptest::collection::vec(
            prop_oneof![Just(b'a'), Just(b'-'), Just(0xff), Just(b'.')],
            1..4,
        );
        proptest::collection::btree_map(name, Just(Entry::unreadable(mark)), 0..40)
    }

    proptest! {
        #[test]
        fn every_name_comes_out_once_in_order_with_the_entries_of_both_sides(source in side(1), dest in side(2)) {
            let expected: Vec<_> = source.keys().chain(dest.keys()).collect::<BTreeSet<_>>().into_iter()
                .map(|name| (name.as_slice(), Joined::new(source.get(name), dest.get(name)).unwrap()))
                .collect();
            let (left, right) = (Side(source.clone().into_iter().collect()), Side(dest.clone().into_iter().collect()));
            prop_assert_eq!(join(&left, &right).collect::<Vec<_>>(), expected);
        }
    }
}
