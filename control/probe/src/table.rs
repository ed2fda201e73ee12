//! Every check with its state, and when each is due: the prober without its I/O.
//!
//! * `slots`: one per distinct [`Target`], found by a number that is never used twice, so a late
//!   result of a removed check finds nothing.
//! * `due`: (time, slot), ordered. A slot is in it exactly while no probe of it is under way.
//! * `endpoints`: which slots decide an endpoint, and what was last reported of it.
//!
//! Pure: targets, results and times come in; due probes and changes come out.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use meridian_topology::EndpointId;
use tokio::time::Instant;

use crate::check::Failure;
use crate::hysteresis::{Hysteresis, Outcome, Verdict};
use crate::schedule::Schedule;
use crate::target::{Health, Target};

/// Number of a check; never reused.
pub type SlotId = u64;

/// An endpoint's verdict changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointChange {
    /// Whose.
    pub endpoint: EndpointId,
    /// To what.
    pub to: Health,
    /// Why, in words.
    pub cause: String,
    /// Since the deciding run's first probe began.
    pub detection: Duration,
}

/// A probe's result, as the table needs it.
#[derive(Debug)]
pub struct Observation {
    /// When the probe began.
    pub began: Instant,
    /// When its result was known.
    pub ended: Instant,
    /// What it saw.
    pub result: Result<(), Failure>,
}

/// One check.
#[derive(Debug)]
pub struct Slot {
    /// What is checked.
    pub target: Arc<Target>,
    /// What is believed.
    pub hysteresis: Hysteresis,
    identity: u64,
    probes: u64,
    /// When it is due; `None` while a probe is under way.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Group {
    slots: Vec<SlotId>,
    verdict: Verdict,
}

/// What a new list of targets changed.
#[derive(Debug, Default)]
pub struct Applied {
    /// Checks that are gone.
    pub removed: Vec<SlotId>,
    /// Checks that are new.
    pub added: Vec<SlotId>,
    /// Endpoints that no check looks at any more.
    pub forgotten: Vec<EndpointId>,
    /// Endpoints whose verdict changed by that.
    pub changes: Vec<EndpointChange>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Table {
    schedule: Schedule,
    slots: BTreeMap<SlotId, Slot>,
    due: BTreeSet<(Instant, SlotId)>,
    endpoints: BTreeMap<EndpointId, Group>,
    next_slot: SlotId,
}

impl Table {
    /// Without checks.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            slots: BTreeMap::new(),
            due: BTreeSet::new(),
            endpoints: BTreeMap::new(),
            next_slot: 0,
        }
    }

    /// How many checks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A check's state.
    #[must_use]
    pub fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    /// What is believed of an endpoint, over all its checks.
    #[must_use]
    pub fn verdict(&self, endpoint: &EndpointId) -> Verdict {
        self.endpoints
            .get(endpoint)
            .map_or(Verdict::Unknown, |group| group.verdict)
    }

    /// Replaces the list of checks. Equal targets keep their state and their turn; the new check of
    /// an endpoint that is down at the same address starts from `Down`.
    pub fn apply(&mut self, targets: &[Target], now: Instant) -> Applied {
        let mut applied = Applied::default();
        let mut unclaimed: BTreeMap<EndpointId, Vec<SlotId>> = BTreeMap::new();
        for (endpoint, group) in &mut self.endpoints {
            unclaimed.insert(endpoint.clone(), std::mem::take(&mut group.slots));
        }
        let mut fresh = Vec::new();
        for target in targets {
            let old = unclaimed.get_mut(&target.endpoint);
            match old.and_then(|old| self.claim(old, target)) {
                Some(id) => self.group(&target.endpoint).slots.push(id),
                None if self.is_listed(target) => {}
                None => {
                    let inherited = self.inherited(unclaimed.get(&target.endpoint), target);
                    let id = self.insert(target, inherited, now);
                    self.group(&target.endpoint).slots.push(id);
                    fresh.push(id);
                }
            }
        }
        applied.added = fresh;
        for id in unclaimed.into_values().flatten() {
            if let Some(Slot { due: Some(due), .. }) = self.slots.remove(&id) {
                self.due.remove(&(due, id));
            }
            applied.removed.push(id);
        }
        self.settle(&mut applied);
        applied
    }

    /// Takes the slot of an equal target out of `old`.
    fn claim(&self, old: &mut Vec<SlotId>, target: &Target) -> Option<SlotId> {
        let same = |id: &SlotId| {
            self.slots
                .get(id)
                .is_some_and(|slot| *slot.target == *target)
        };
        let position = old.iter().position(same)?;
        Some(old.swap_remove(position))
    }

    /// Whether an equal target was in this list before: checking twice tells nothing.
    fn is_listed(&self, target: &Target) -> bool {
        self.endpoints.get(&target.endpoint).is_some_and(|group| {
            group.slots.iter().any(|id| {
                self.slots
                    .get(id)
                    .is_some_and(|slot| *slot.target == *target)
            })
        })
    }

    fn inherited(&self, old: Option<&Vec<SlotId>>, target: &Target) -> Verdict {
        let was_down = old
            .into_iter()
            .flatten()
            .filter_map(|id| self.slots.get(id))
            .any(|slot| {
                slot.target.address == target.address && slot.hysteresis.verdict() == Verdict::Down
            });
        if was_down {
            Verdict::Down
        } else {
            Verdict::Unknown
        }
    }

    fn insert(&mut self, target: &Target, inherited: Verdict, now: Instant) -> SlotId {
        let id = self.next_slot;
        self.next_slot += 1;
        let identity = self.schedule.identity(target);
        let due = now + self.schedule.first(identity, &target.check);
        self.due.insert((due, id));
        let hysteresis = Hysteresis::for_check(&target.check, inherited);
        let target = Arc::new(target.clone());
        self.slots.insert(
            id,
            Slot {
                target,
                hysteresis,
                identity,
                probes: 0,
                due: Some(due),
            },
        );
        id
    }

    fn group(&mut self, endpoint: &EndpointId) -> &mut Group {
        self.endpoints
            .entry(endpoint.clone())
            .or_insert_with(|| Group {
                slots: Vec::new(),
                verdict: Verdict::Unknown,
            })
    }

    /// Brings every endpoint's verdict in line after its checks changed.
    fn settle(&mut self, applied: &mut Applied) {
        let endpoints: Vec<EndpointId> = self.endpoints.keys().cloned().collect();
        for endpoint in endpoints {
            let cause = "the failing check was removed or replaced";
            applied
                .changes
                .extend(self.decide(&endpoint, cause.to_owned(), Duration::ZERO));
        }
        let gone = self
            .endpoints
            .extract_if(.., |_, group| group.slots.is_empty());
        applied.forgotten = gone.map(|(endpoint, _)| endpoint).collect();
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes the check that is due longest, with its due time; it is under way from now on.
    pub fn take_due(&mut self, now: Instant) -> Option<(SlotId, Arc<Target>, Instant)> {
        let &(due, id) = self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.pop_first();
        let slot = self.slots.get_mut(&id)?;
        slot.due = None;
        Some((id, Arc::clone(&slot.target), due))
    }

    /// Takes a check out of the schedule for good: it cannot be probed here.
    pub fn park(&mut self, id: SlotId) {
        if let Some(due) = self.slots.get_mut(&id).and_then(|slot| slot.due.take()) {
            self.due.remove(&(due, id));
        }
    }

    /// Takes a probe's result and plans the next probe. A removed check changes nothing.
    pub fn record(&mut self, id: SlotId, seen: &Observation) -> Option<EndpointChange> {
        let slot = self.slots.get_mut(&id)?;
        slot.probes += 1;
        let outcome = if seen.result.is_ok() {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        let change = slot.hysteresis.observe(outcome, seen.began, seen.ended);
        let (schedule, check) = (self.schedule, &slot.target.check);
        let due = if slot.hysteresis.is_suspicious() {
            schedule.recheck(slot.identity, slot.probes, check, seen.began, seen.ended)
        } else {
            schedule.next(slot.identity, slot.probes, check, seen.began)
        };
        slot.due = Some(due);
        self.due.insert((due, id));
        let change = change?;
        let cause = match &seen.result {
            Err(failure) => failure.to_string(),
            Ok(()) if change.results == 1 => "probe succeeded".to_owned(),
            Ok(()) => format!("{} probes succeeded", change.results),
        };
        let endpoint = slot.target.endpoint.clone();
        self.decide(&endpoint, cause, change.detection)
    }

    /// Works out an endpoint's verdict and reports it if it is another one than before.
    fn decide(
        &mut self,
        endpoint: &EndpointId,
        cause: String,
        detection: Duration,
    ) -> Option<EndpointChange> {
        let group = self.endpoints.get_mut(endpoint)?;
        let verdicts = group.slots.iter().filter_map(|id| self.slots.get(id));
        let verdict = combined(verdicts.map(|slot| slot.hysteresis.verdict()));
        let before = std::mem::replace(&mut group.verdict, verdict);
        let to = match (before, verdict) {
            (Verdict::Unknown | Verdict::Up, Verdict::Down) => Health::Down,
            (Verdict::Unknown, Verdict::Up) | (Verdict::Down, Verdict::Up | Verdict::Unknown) => {
                Health::Up
            }
            _ => return None,
        };
        Some(EndpointChange {
            endpoint: endpoint.clone(),
            to,
            cause,
            detection,
        })
    }
}

/// Down while any check is; up once all are.
fn combined(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut all = None;
    for verdict in verdicts {
        match verdict {
            Verdict::Down => return Verdict::Down,
            Verdict::Unknown => all = Some(Verdict::Unknown),
            Verdict::Up => all = all.or(Some(Verdict::Up)),
        }
    }
    all.unwrap_or(Verdict::Unknown)
}
