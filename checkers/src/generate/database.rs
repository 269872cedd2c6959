//! The tiny abstract database: all versions of all keys, in the order of commits, and who sees which of them.

use std::collections::BTreeMap;

use super::random::mix;

/// The place of a commit in the order of commits, from 1; 0 is before all.
pub(super) type Commit = u64;

/// What a transaction sees of what was committed.
#[derive(Clone, Debug)]
pub(super) enum View {
    /// The first so many commits.
    Upto(Commit),
    /// Whatever is committed when it looks.
    Latest,
    /// The first `upto` commits, and some of the others up to `now`.
    Some { upto: Commit, now: Commit, salt: u64 },
    /// By site, how many of its commits have arrived.
    Arrived(Vec<u32>),
}

/// One version of a key: a row's value or a list's length.
#[derive(Clone, Copy, Debug)]
struct Version<V> {
    commit: Commit,
    value: V,
}

/// A list: its elements, and how many there were after each commit.
#[derive(Clone, Debug, Default)]
struct List {
    elements: Vec<i64>,
    versions: Vec<Version<usize>>,
}

/// What is known of a commit.
#[derive(Clone, Copy, Debug)]
struct Origin {
    site: u32,
    /// Which commit of its site it is, from 0.
    index: u32,
}

/// What a transaction wants to write, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Write {
    Row(u64, Option<i64>),
    Element(u64, i64),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Database {
    rows: Vec<Vec<Version<Option<i64>>>>,
    lists: Vec<List>,
    /// By commit; the first is before all and nobody's.
    commits: Vec<Origin>,
    /// By commit that appended to lists: the last commits before it that did so.
    appended: BTreeMap<Commit, Vec<Commit>>,
    sites: Sites,
}

/// Where transactions run at the causal level: each site learns of the commits of others some time later.
#[derive(Debug)]
struct Sites {
    /// By site: its commits, with what had arrived there.
    logs: Vec<Vec<(Commit, Vec<u32>)>>,
    /// By site: how many commits of each have arrived.
    arrived: Vec<Vec<u32>>,
}

impl Database {
    pub(super) fn new(sites: usize) -> Self {
        Self {
            rows: Vec::new(),
            lists: Vec::new(),
            commits: vec![Origin { site: 0, index: 0 }],
            appended: BTreeMap::new(),
            sites: Sites { logs: vec![Vec::new(); sites], arrived: vec![vec![0; sites]; sites] },
        }
    }

    /// The last commit.
    pub(super) fn latest(&self) -> Commit {
        self.commits.len() as Commit - 1
    }

    /// How many rows were ever written, at most.
    pub(super) fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(super) fn sees(&self, view: &View, commit: Commit) -> bool {
        match view {
            View::Upto(upto) => commit <= *upto,
            View::Latest => true,
            View::Some { upto, now, salt } => {
                // Whoever sees an element sees those before it.
                commit <= *upto
                    || (commit <= *now
                        && mix(commit ^ salt).is_multiple_of(2)
                        && self
                            .appended
                            .get(&commit)
                            .is_none_or(|before| before.iter().all(|before| self.sees(view, *before))))
            }
            View::Arrived(arrived) => {
                let Origin { site, index, .. } = self.commits[commit as usize];
                index < arrived[site as usize]
            }
        }
    }

    fn newest<V: Copy>(&self, versions: &[Version<V>], view: &View) -> Option<Version<V>> {
        versions.iter().rev().find(|version| self.sees(view, version.commit)).copied()
    }

    /// A row as `view` shows it, and whose commit it is.
    pub(super) fn row(&self, key: u64, view: &View) -> (Commit, Option<i64>) {
        let newest = self.rows.get(key as usize).and_then(|versions| self.newest(versions, view));
        newest.map_or((0, None), |version| (version.commit, version.value))
    }

    /// A list as `view` shows it, and whose commit it is.
    pub(super) fn list(&self, key: u64, view: &View) -> (Commit, &[i64]) {
        let Some(list) = self.lists.get(key as usize) else { return (0, &[]) };
        self.newest(&list.versions, view).map_or((0, &[]), |version| (version.commit, &list.elements[..version.value]))
    }

    /// What a transaction at `site` sees when it begins.
    pub(super) fn arrived(&self, site: usize) -> View {
        View::Arrived(self.sites.arrived[site].clone())
    }

    /// Lets `to` learn of the next commit of `from`, if it has learnt of all that this one follows.
    pub(super) fn replicate(&mut self, from: usize, to: usize) {
        let next = self.sites.arrived[to][from];
        if let Some((_, follows)) = self.sites.logs[from].get(next as usize)
            && follows.iter().zip(&self.sites.arrived[to]).all(|(follows, arrived)| follows <= arrived)
        {
            self.sites.arrived[to][from] += 1;
        }
    }

    /// Commits.
    pub(super) fn commit(&mut self, site: usize, writes: &[Write]) -> Commit {
        let commit = self.commits.len() as Commit;
        let index = self.sites.arrived[site][site];
        self.commits.push(Origin { site: site as u32, index });
        if self.sites.logs.len() > 1 {
            let follows = self.sites.arrived[site].clone();
            self.sites.logs[site].push((commit, follows));
        }
        self.sites.arrived[site][site] = index + 1;
        for write in writes {
            match *write {
                Write::Row(key, value) => put(at(&mut self.rows, key), commit, value),
                Write::Element(key, element) => {
                    let list = at(&mut self.lists, key);
                    if let Some(last) = list.versions.last().filter(|last| last.commit != commit) {
                        self.appended.entry(commit).or_default().push(last.commit);
                    }
                    list.elements.push(element);
                    put(&mut list.versions, commit, list.elements.len());
                }
            }
        }
        commit
    }

    /// Forgets what stands before each commit up to `upto`, which everybody sees.
    pub(super) fn forget_order(&mut self, upto: Commit) {
        while self.appended.first_key_value().is_some_and(|(commit, _)| *commit <= upto) {
            self.appended.pop_first();
        }
    }

    /// Forgets versions of a written key that nobody sees who sees all commits up to `upto`.
    pub(super) fn forget(&mut self, write: Write, upto: Commit) {
        match write {
            Write::Row(key, _) => prune(&mut self.rows[key as usize], upto),
            Write::Element(key, _) => prune(&mut self.lists[key as usize].versions, upto),
        }
    }

    /// The commits that have arrived at every site, as a number of the first ones.
    pub(super) fn everywhere(&self) -> Commit {
        let missing = self.sites.arrived.iter().flat_map(|arrived| {
            self.sites
                .logs
                .iter()
                .zip(arrived)
                .filter_map(|(log, next)| log.get(*next as usize).map(|(first, _)| *first))
        });
        missing.min().map_or(self.latest(), |first| first - 1)
    }
}

fn put<V>(versions: &mut Vec<Version<V>>, commit: Commit, value: V) {
    match versions.last_mut() {
        Some(last) if last.commit == commit => last.value = value,
        _ => versions.push(Version { commit, value }),
    }
}

fn prune<V>(versions: &mut Vec<Version<V>>, upto: Commit) {
    if versions.len() > 64 {
        let needed = versions.partition_point(|version| version.commit <= upto);
        versions.drain(..needed.saturating_sub(1));
    }
}

fn at<V: Default>(all: &mut Vec<V>, key: u64) -> &mut V {
    let key = key as usize;
    if all.len() <= key {
        all.resize_with(key + 1, V::default);
    }
    &mut all[key]
}
