//! From candidates to the route of one class: the inner loop of compiling.

use super::context::Row;
use super::prepare::{Candidate, FULL, Prepared};
use crate::plan::{Entry, Family, MAX_ROUTE, Route};
use crate::policy::{Policy, Split};
use crate::recorder::{Drop, Recorder, Stage};

/// Places of a route kept for regions that lived when it was compiled, so that a route is not full of
/// the dead.
const LIVE_PLACES: usize = 2;
/// Places of a route kept for each address family that its first places lack.
const FAMILY_PLACES: usize = 1;
/// The weight of the best region of a spread; the others' are in proportion.
const FULL_WEIGHT: f64 = 10_000.0;
/// What a region at the far end of `best_within` gets of the best one's part, splitting by score.
const WORST_PART: f64 = 0.1;

/// A candidate with its score for the class.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ranked {
    rank: u32,
    score: f64,
    candidate: usize,
}

impl Ranked {
    fn is_before(&self, other: &Self) -> bool {
        (self.rank, self.score, self.candidate) < (other.rank, other.score, other.candidate)
    }
}

/// The best few, sorted.
#[derive(Clone, Copy)]
struct Top<const N: usize> {
    best: [Ranked; N],
    len: usize,
}

impl<const N: usize> Top<N> {
    fn new() -> Self {
        let none = Ranked {
            rank: u32::MAX,
            score: f64::INFINITY,
            candidate: usize::MAX,
        };
        Self {
            best: [none; N],
            len: 0,
        }
    }

    #[inline]
    fn offer(&mut self, ranked: Ranked) {
        if self.len == N && !ranked.is_before(&self.best[N - 1]) {
            return;
        }
        let mut at = self.len.min(N - 1);
        while at > 0 && ranked.is_before(&self.best[at - 1]) {
            self.best[at] = self.best[at - 1];
            at -= 1;
        }
        self.best[at] = ranked;
        self.len = (self.len + 1).min(N);
    }

    fn as_slice(&self) -> &[Ranked] {
        &self.best[..self.len]
    }

    fn sort_from(&mut self, first: usize) {
        self.best[first..self.len].sort_by(|a, b| {
            a.rank
                .cmp(&b.rank)
                .then(a.score.total_cmp(&b.score))
                .then(a.candidate.cmp(&b.candidate))
        });
    }
}

/// The route of a class.
pub(super) fn rank(
    prepared: &Prepared,
    policy: &Policy,
    row: &Row<'_>,
    recorder: &mut impl Recorder,
) -> Route {
    let mut top = Top::<MAX_ROUTE>::new();
    let mut living = Top::<LIVE_PLACES>::new();
    let mut of_family = Family::ALL.map(|_| Top::<FAMILY_PLACES>::new());
    let mut live_of_family = Family::ALL.map(|_| Top::<FAMILY_PLACES>::new());
    let may_lack = prepared.may_lack_a_family();
    for (at, candidate) in prepared.candidates.iter().enumerate() {
        let region = candidate.region;
        let (km, model_ms) = (row.km[region.index()], row.model_ms[region.index()]);
        let terms = prepared.terms.iter();
        let sum: f64 = terms
            .map(|term| term.contribution(region, km, model_ms, recorder))
            .sum();
        let ranked = Ranked {
            rank: candidate.rank,
            score: candidate.fixed + sum,
            candidate: at,
        };
        recorder.keep(region);
        top.offer(ranked);
        if !prepared.all_live && candidate.live {
            living.offer(ranked);
        }
        if may_lack {
            for family in Family::ALL {
                if candidate.families.has(family) {
                    of_family[family as usize].offer(ranked);
                    if candidate.live {
                        live_of_family[family as usize].offer(ranked);
                    }
                }
            }
        }
    }
    let mut spread = spread_len(prepared, policy, top.as_slice());
    if !prepared.all_live {
        make_room_for_living(&prepared.candidates, &mut top, &living, spread);
    }
    if may_lack {
        // Any of the family first, so that one that comes back is on the route; then a living one.
        let candidates = &prepared.candidates;
        spread = make_room_for_families(candidates, &mut top, &of_family, spread, |_| true);
        let live = |at: usize| candidates[at].live;
        spread = make_room_for_families(candidates, &mut top, &live_of_family, spread, live);
    }
    let route = route(prepared, policy, top.as_slice(), spread);
    record(prepared, &route, top.as_slice(), recorder);
    route
}

/// How many of the sorted candidates share the clients.
fn spread_len(prepared: &Prepared, policy: &Policy, sorted: &[Ranked]) -> usize {
    let Some(best) = sorted.first().filter(|best| best.rank != FULL) else {
        return 0;
    };
    if prepared.fixed_shares > 0 {
        return prepared.fixed_shares.min(sorted.len());
    }
    let close =
        |ranked: &&Ranked| ranked.rank == best.rank && ranked.score <= best.score + prepared.margin;
    let most = usize::from(policy.spread.at_most);
    // Splitting without a margin means everybody up to the maximum, not only equals.
    let everybody = policy.spread.best_within.0 == 0 && most > 1;
    let same_rank = |ranked: &&Ranked| ranked.rank == best.rank;
    let sharing = sorted.iter().take(most);
    if everybody {
        sharing.take_while(same_rank).count()
    } else {
        sharing.take_while(close).count()
    }
}

/// Puts living candidates into the last places behind the spread when too few of the route live.
fn make_room_for_living(
    candidates: &[Candidate],
    top: &mut Top<MAX_ROUTE>,
    living: &Top<LIVE_PLACES>,
    spread: usize,
) {
    let in_top = |top: &Top<MAX_ROUTE>, ranked: &Ranked| {
        top.as_slice()
            .iter()
            .any(|known| known.candidate == ranked.candidate)
    };
    if top.len < MAX_ROUTE {
        return;
    }
    for ranked in living.as_slice() {
        if in_top(top, ranked) {
            continue;
        }
        let dead = (spread..top.len)
            .rev()
            .find(|at| !candidates[top.best[*at].candidate].live);
        let Some(dead) = dead else { return };
        top.best[dead] = *ranked;
    }
    top.sort_from(spread);
}

/// Puts the best candidate of an address family that the route lacks (among those that count) into a
/// last place behind the
/// spread: who asks for that family must find somebody. Where the spread fills the route, its last
/// place is given up. Returns how many places the spread has left.
fn make_room_for_families(
    candidates: &[Candidate],
    top: &mut Top<MAX_ROUTE>,
    of_family: &[Top<FAMILY_PLACES>; Family::ALL.len()],
    mut spread: usize,
    counts: impl Fn(usize) -> bool,
) -> usize {
    let has = |ranked: &Ranked, family| {
        counts(ranked.candidate) && candidates[ranked.candidate].families.has(family)
    };
    for family in Family::ALL {
        let lacks = !top.as_slice().iter().any(|ranked| has(ranked, family));
        if let Some(best) = of_family[family as usize].as_slice().first()
            && lacks
            && top.len > 1
        {
            spread = spread.min(top.len - 1);
            // Lacking one family, every region in the route has the other: any may go but the first.
            top.best[top.len - 1] = *best;
            top.sort_from(spread);
        }
    }
    spread
}

fn route(prepared: &Prepared, policy: &Policy, sorted: &[Ranked], spread: usize) -> Route {
    let mut route = Route {
        spread: spread as u8,
        normal: sorted
            .iter()
            .take_while(|ranked| ranked.rank != FULL)
            .count() as u8,
        len: sorted.len() as u8,
        ..Route::default()
    };
    let candidate = |ranked: &Ranked| &prepared.candidates[ranked.candidate];
    let largest = sorted[..spread]
        .iter()
        .map(|r| candidate(r).share)
        .fold(0.0, f64::max);
    for (at, ranked) in sorted.iter().enumerate() {
        let weight = if prepared.fixed_shares > 0 {
            // As written: a weight in proportion to the largest would move with it.
            candidate(ranked).share
        } else if policy.spread.split == Split::Score {
            part_by_score(ranked.score - sorted[0].score, prepared.margin) * FULL_WEIGHT
        } else {
            candidate(ranked).share / largest * FULL_WEIGHT
        };
        let weight = if at < spread {
            weight.round().max(1.0) as u16
        } else {
            0
        };
        route.entries[at] = Entry {
            // Candidates are regions, which a u16 counts.
            place: ranked.candidate as u16,
            weight,
        };
    }
    route
}

/// All of it at the best score, [`WORST_PART`] at the margin, a line between.
fn part_by_score(behind: f64, margin: f64) -> f64 {
    if margin > 0.0 {
        1.0 - (1.0 - WORST_PART) * (behind / margin).clamp(0.0, 1.0)
    } else {
        1.0
    }
}

fn record(prepared: &Prepared, route: &Route, sorted: &[Ranked], recorder: &mut impl Recorder) {
    recorder.stage(Stage::Spread);
    for (at, ranked) in sorted.iter().enumerate() {
        let region = prepared.candidates[ranked.candidate].region;
        if at < usize::from(route.spread) {
            recorder.keep(region);
        } else if ranked.rank == FULL {
            recorder.drop(region, Drop::LastResort);
        } else {
            recorder.drop(region, Drop::StandsIn(at + 1 - usize::from(route.spread)));
        }
    }
    for (at, candidate) in prepared.candidates.iter().enumerate() {
        if sorted.iter().all(|ranked| ranked.candidate != at) {
            recorder.drop(candidate.region, Drop::BeyondRoute);
        }
    }
}
