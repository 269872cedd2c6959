//! The content of every list, in pieces by writer.
//!
//! A list is as long as what was appended to it, so its elements are kept, but nothing of their writers except names and
//! positions. A read at some position must equal the content at that position. Writers of unknown outcome are found
//! between the pieces when a read shows them, and then belong to the content.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::unknown::{Bounds, Name};

/// What one transaction appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// The place after its last element.
    pub(super) end: usize,
    pub(super) by: By,
    /// The transaction's name in the history.
    pub(super) id: u64,
}

/// Whose a piece is.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    /// A writer that reported this commit position.
    Known(u64),
    /// A writer of unknown outcome that a read has shown.
    Seen,
}

/// One list.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) content: Vec<i64>,
    pub(super) pieces: Vec<Piece>,
    /// The newest known commit.
    pub(super) commit: u64,
    /// Writers of unknown outcome that no read of it has shown, with what they append.
    pub(super) pending: Vec<(Name, Vec<i64>)>,
    /// Writers of unknown outcome in its content that may still be overwritten against first committer wins.
    pub(super) shown: Vec<Name>,
    /// No pending writer committed up to here.
    pub(super) clean: u64,
}

/// All lists.
pub(super) type Lists = HashMap<u64, List, FxBuildHasher>;

/// A pending writer that a read shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// Its place in [`List::pending`].
    pub(super) pending: usize,
    /// The piece that it stands before.
    pub(super) before: usize,
    /// Where it committed, going by its neighbours.
    pub(super) bounds: Bounds,
}

/// What a read that does not equal the content shows.
#[derive(Debug)]
pub(super) enum Walk {
    /// The content, with pending writers in it.
    Shows(Vec<Shown>),
    /// A piece is missing; this one.
    Lost(usize),
    /// The element at this place is not what the content has there, nor of a pending writer; and the piece that should
    /// be there.
    Strange(usize, Option<usize>),
    /// It cannot be told whose the elements at this place are.
    Ambiguous(usize),
}

impl List {
    /// The elements of a piece.
    pub(super) fn elements(&self, piece: usize) -> &[i64] {
        let start = piece.checked_sub(1).map_or(0, |before| self.pieces[before].end);
        &self.content[start..self.pieces[piece].end]
    }

    /// Appends an element of the transaction `id` that committed at `commit`.
    pub(super) fn append(&mut self, element: i64, commit: u64, id: u64) {
        self.content.push(element);
        let end = self.content.len();
        match self.pieces.last_mut() {
            Some(Piece { end: last, by: By::Known(known), .. }) if *known == commit => *last = end,
            _ => self.pieces.push(Piece { end, by: By::Known(commit), id }),
        }
        self.commit = commit;
    }

    /// Finds the content in what was read at `snapshot`, and pending writers between its pieces.
    pub(super) fn walk(&self, read: &[i64], snapshot: u64) -> Walk {
        let (mut rest, mut piece, mut last) = (read, 0, 0);
        let mut shown: Vec<Shown> = Vec::new();
        loop {
            let mut fitting = (0..self.pending.len()).filter(|pending| {
                let (_, elements) = &self.pending[*pending];
                rest.starts_with(elements) && shown.iter().all(|one| one.pending != *pending)
            });
            let (first, second) = (fitting.next(), fitting.next());
            let place = read.len() - rest.len();
            if piece < self.pieces.len()
                && let Some(after) = rest.strip_prefix(self.elements(piece))
            {
                if first.is_some() {
                    return Walk::Ambiguous(place);
                }
                if let By::Known(commit) = self.pieces[piece].by {
                    // Whatever of unknown position stands before it committed before it.
                    for one in shown.iter_mut().filter(|one| one.bounds.upto >= commit) {
                        one.bounds.upto = commit - 1;
                    }
                    last = commit;
                }
                (rest, piece) = (after, piece + 1);
                continue;
            }
            if rest.is_empty() {
                break;
            }
            match (first, second) {
                (Some(pending), None) => {
                    let bounds = Bounds { after: last.max(self.clean), upto: snapshot };
                    shown.push(Shown { pending, before: piece, bounds });
                    rest = &rest[self.pending[pending].1.len()..];
                }
                (Some(_), Some(_)) => return Walk::Ambiguous(place),
                (None, _) => return Walk::Strange(place, (piece < self.pieces.len()).then_some(piece)),
            }
        }
        if piece < self.pieces.len() { Walk::Lost(piece) } else { Walk::Shows(shown) }
    }

    /// Puts pending writers that a read has shown into the content. `ids` are their names in the history.
    pub(super) fn show(&mut self, shown: &[Shown], ids: &[u64]) {
        let (mut content, mut pieces) = (Vec::new(), Vec::new());
        let mut next = shown.iter().zip(ids).peekable();
        for piece in 0..=self.pieces.len() {
            while let Some((one, id)) = next.next_if(|(one, _)| one.before == piece) {
                let (name, elements) = &self.pending[one.pending];
                content.extend_from_slice(elements);
                pieces.push(Piece { end: content.len(), by: By::Seen, id: *id });
                self.shown.push(*name);
            }
            if piece < self.pieces.len() {
                content.extend_from_slice(self.elements(piece));
                pieces.push(Piece { end: content.len(), ..self.pieces[piece] });
            }
        }
        (self.content, self.pieces) = (content, pieces);
        let names: Vec<Name> = shown.iter().map(|one| self.pending[one.pending].0).collect();
        self.pending.retain(|(name, _)| !names.contains(name));
    }
}
