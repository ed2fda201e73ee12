//! What services have in common: routes are ranked once for each different *shape* of service.
//!
//! Ten thousand services are rarely ten thousand different decisions. Two services of one policy whose
//! candidates agree in everything that ranking looks at (regions, ranks, fixed scores, shares, health)
//! send every class to the same places of their lists of pools, whatever machines those pools are: they
//! have one shape, and the plan keeps one *row* of routes for both. Shapes whose rows come out equal
//! share them, too. Services of one policy on the very same endpoints ([`Shapes::twin_of`]) skip even
//! the preparation.
//!
//! Limits: rows × classes × 4 bytes; a world in which every service differs has a row for each.

use std::collections::HashMap;

use meridian_topology::{PolicyId, ServiceIdx};

use super::context::{Context, Rows};
use super::prepare::{Applied, Prepared};
use super::rank::rank;
use super::routes::{PoolInterner, RouteInterner};
use crate::hash::Fingerprint;
use crate::plan::Route;
use crate::policy::Policy;
use crate::recorder::Silent;

/// Where a service's decisions stand in the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of its row of routes.
    pub row: u32,
    /// Where its pools begin in the list of all services' pools.
    pub first_pool: u32,
}

/// Which selectors of one policy apply to whom.
struct Conditions {
    /// The policy's number, in order of first use.
    number: u64,
    /// The combinations that occur, in order of first class.
    masks: Vec<Applied>,
    /// For each class, a position in `masks`.
    of_class: Vec<u16>,
}

impl Conditions {
    fn new(context: &Context<'_>, policy: &Policy, number: usize) -> Self {
        let mut masks: Vec<Applied> = Vec::new();
        let classes = context.world.classes.classes().iter();
        let of_class = classes.map(|class| {
            let applied = Applied::to(policy, class);
            let known = masks.iter().position(|mask| *mask == applied);
            // There are no more masks than classes, and at most 65,535 of those.
            known.unwrap_or_else(|| {
                masks.push(applied);
                masks.len() - 1
            }) as u16
        });
        Self {
            number: number as u64,
            of_class: of_class.collect(),
            masks,
        }
    }
}

/// Collects places, rows and pools; see the module's comment.
pub(super) struct Shapes<'c, 'w> {
    context: &'c Context<'w>,
    distances: Rows,
    conditions: HashMap<&'c PolicyId, Conditions>,
    /// Services by policy and a hash of their endpoints.
    twins: HashMap<(u64, u64), Vec<ServiceIdx>>,
    /// Rows by what ranking looked at.
    shapes: HashMap<Vec<u64>, u32>,
    /// Rows by a hash of their content.
    row_ids: HashMap<u64, Vec<u32>>,
    routes: RouteInterner,
    pub pools: PoolInterner,
    pub places: Vec<Place>,
    /// Pools of all services, each service's in a piece.
    pub service_pools: Vec<u32>,
    /// Routes of the first row's classes, then of the second's, and so on.
    pub rows: Vec<u32>,
}

impl<'c, 'w> Shapes<'c, 'w> {
    pub fn new(context: &'c Context<'w>) -> Self {
        let classes = context.world.classes.classes().len();
        Self {
            context,
            distances: context.rows(0..classes),
            conditions: HashMap::new(),
            twins: HashMap::new(),
            shapes: HashMap::new(),
            row_ids: HashMap::new(),
            routes: RouteInterner::default(),
            pools: PoolInterner::default(),
            places: Vec::with_capacity(context.world.topology.services.len()),
            service_pools: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Every different route, in order of first use.
    pub fn take_routes(&mut self) -> Vec<Route> {
        std::mem::take(&mut self.routes).finish()
    }

    /// Compiles the next service.
    pub fn add(&mut self, service: ServiceIdx) {
        let policy = self.context.policy(service);
        let number = self.conditions.len();
        let conditions = self
            .conditions
            .entry(&policy.id)
            .or_insert_with(|| Conditions::new(self.context, policy, number));
        let policy_number = conditions.number;
        if let Some(twin) = self.twin_of(service, policy_number) {
            let place = self.places[twin.index()];
            self.places.push(place);
            return;
        }
        let place = self.place(service, policy);
        self.places.push(place);
    }

    /// An earlier service of this policy on the same endpoints.
    fn twin_of(&mut self, service: ServiceIdx, policy_number: u64) -> Option<ServiceIdx> {
        let members = self.context.serving_anywhere(service);
        let mut print = Fingerprint::new(0x7477_696e);
        for member in members {
            print.add(u64::from(*member));
        }
        let alike = self
            .twins
            .entry((policy_number, print.finish()))
            .or_default();
        let twin = alike
            .iter()
            .find(|other| self.context.serving_anywhere(**other) == members);
        let twin = twin.copied();
        if twin.is_none() {
            alike.push(service);
        }
        twin
    }

    fn place(&mut self, service: ServiceIdx, policy: &'c Policy) -> Place {
        let conditions = &self.conditions[&policy.id];
        let first_pool = self.service_pools.len();
        let mut key = vec![conditions.number];
        let mut prepared = Vec::with_capacity(conditions.masks.len());
        for applied in &conditions.masks {
            let one = Prepared::new(
                self.context,
                service,
                policy,
                *applied,
                &mut self.pools,
                &mut Silent,
            );
            let base = add_pools(&mut self.service_pools, first_pool, &one);
            key.push(u64::from(base));
            one.add_to(policy, &mut key);
            prepared.push((base, one));
        }
        let row = match self.shapes.get(&key) {
            Some(row) => *row,
            None => {
                let row = self.rank_all(policy, &prepared);
                self.shapes.insert(key, row);
                row
            }
        };
        Place {
            row,
            first_pool: first_pool as u32,
        }
    }

    /// The row of a shape, new or known.
    fn rank_all(&mut self, policy: &Policy, prepared: &[(u32, Prepared)]) -> u32 {
        let conditions = &self.conditions[&policy.id];
        let row: Vec<u32> = conditions
            .of_class
            .iter()
            .enumerate()
            .map(|(class, mask)| {
                let (base, prepared) = &prepared[usize::from(*mask)];
                let mut route = rank(prepared, policy, &self.distances.of(class), &mut Silent);
                route.base = *base;
                self.routes.intern(route)
            })
            .collect();
        let mut print = Fingerprint::new(0x726f_7773);
        for route in &row {
            print.add(u64::from(*route));
        }
        let classes = row.len();
        let alike = self.row_ids.entry(print.finish()).or_default();
        let known = alike
            .iter()
            .find(|number| self.rows[**number as usize * classes..][..classes] == row);
        if let Some(known) = known {
            return *known;
        }
        let number = (self.rows.len() / classes) as u32;
        alike.push(number);
        self.rows.extend(row);
        number
    }
}

/// Adds the pools of one mask's candidates to a service's pools, unless they stand there already one
/// after the other; returns where, counted from the service's first.
fn add_pools(service_pools: &mut Vec<u32>, first_pool: usize, prepared: &Prepared) -> u32 {
    let pools: Vec<u32> = prepared
        .candidates
        .iter()
        .map(|candidate| candidate.pool)
        .collect();
    let own = &service_pools[first_pool..];
    let known = if pools.is_empty() {
        Some(0)
    } else {
        own.windows(pools.len()).position(|there| *there == *pools)
    };
    let base = known.unwrap_or(own.len());
    if known.is_none() {
        service_pools.extend(&pools);
    }
    base as u32
}
