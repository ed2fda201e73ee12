//! How often each endpoint of a class is picked right now: the picks of all keys at once.

use meridian_topology::{EndpointIdx, ServiceIdx};

use super::family::{AnyFamily, Family, Filter};
use super::{Entry, Plan};
use crate::bits::HealthBits;
use crate::class::ClassId;
use crate::policy::WhenNone;

impl Plan {
    /// The endpoints that clients of a class get under the present health and the share of the clients
    /// that each gets, largest first; empty when nobody is served. Shares take rings as perfectly
    /// balanced, like a pick's propensity.
    #[must_use]
    pub fn shares(
        &self,
        service: ServiceIdx,
        class: ClassId,
        bits: &HealthBits,
    ) -> Vec<(EndpointIdx, f32)> {
        self.shares_among(AnyFamily, service, class, bits)
    }

    /// As [`Self::shares`], among the endpoints of one address family.
    #[must_use]
    pub fn shares_of(
        &self,
        service: ServiceIdx,
        class: ClassId,
        bits: &HealthBits,
        family: Family,
    ) -> Vec<(EndpointIdx, f32)> {
        self.shares_among(family, service, class, bits)
    }

    fn shares_among(
        &self,
        filter: impl Filter,
        service: ServiceIdx,
        class: ClassId,
        bits: &HealthBits,
    ) -> Vec<(EndpointIdx, f32)> {
        let Some(route) = self.route(service, class) else {
            return Vec::new();
        };
        let service = &self.services[service.index()];
        let pools = self.pools_of(service, route);
        let pool = |entry: &Entry| pools[usize::from(entry.place)];
        let spread = usize::from(route.spread);
        let normal = usize::from(route.normal);
        let entries = &route.entries[..usize::from(route.len)];
        let live = |entry: &Entry| service.counts_as_live(bits, pool(entry), &self.pools);
        let living = entries[..normal].iter().filter(|entry| live(entry)).count();
        let serves = |e| bits.is_available(e) && filter.admits(self, e);
        let mut found = Vec::new();
        let mut refused = 1.0;
        if service.enough_live(living, normal) {
            let ramp = |entry: &Entry| {
                f32::from(bits.ramp(self.pools[pool(entry) as usize].region)) / f32::from(u16::MAX)
            };
            let has_living = |entry: &Entry| filter.live_points(bits, pool(entry)) > 0;
            let admitted = |entry: &Entry| {
                if live(entry) && has_living(entry) {
                    ramp(entry)
                } else {
                    0.0
                }
            };
            let (shares, rest) = share_out(&entries[..normal], spread.min(normal), admitted);
            found = self.by_endpoint(&entries[..normal], pools, &shares, serves);
            refused = rest;
        }
        // Whom every ramp refuses goes to whoever lives.
        if refused > 0.0 {
            let alive = |entry: &Entry| {
                let living = filter.live_points(bits, pool(entry)) > 0;
                f32::from(u8::from(living))
            };
            let (mut shares, _) = share_out(entries, spread, alive);
            shares.iter_mut().for_each(|share| *share *= refused);
            found.extend(self.by_endpoint(entries, pools, &shares, serves));
        }
        if found.is_empty() && service.when_none == WhenNone::IgnoreHealth {
            let in_service = |e| bits.is_in_service(e) && filter.admits(self, e);
            let (shares, _) = share_out(entries, spread, |entry| {
                let mut members = self.rings.members(&self.pools[pool(entry) as usize]);
                f32::from(u8::from(members.any(in_service)))
            });
            found = self.by_endpoint(entries, pools, &shares, in_service);
        }
        summed(found)
    }

    fn by_endpoint(
        &self,
        entries: &[Entry],
        pools: &[u32],
        shares: &[f32],
        serves: impl Fn(EndpointIdx) -> bool,
    ) -> Vec<(EndpointIdx, f32)> {
        let mut found = Vec::new();
        for (entry, share) in entries
            .iter()
            .zip(shares)
            .filter(|(_, share)| **share > 0.0)
        {
            let pool = &self.pools[pools[usize::from(entry.place)] as usize];
            let members = || self.rings.members(pool).filter(|member| serves(*member));
            let all: u32 = members()
                .map(|member| self.endpoint_points[member.index()])
                .sum();
            found.extend(members().map(|member| {
                let own = self.endpoint_points[member.index()] as f32;
                (member, share * own / all as f32)
            }));
        }
        found
    }
}

/// One share for each endpoint, largest first.
fn summed(mut found: Vec<(EndpointIdx, f32)>) -> Vec<(EndpointIdx, f32)> {
    found.sort_by_key(|(endpoint, _)| *endpoint);
    found.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found
}

/// Shares of the entries: the spread by weight × admission, what it refuses to the rest in order; and
/// what all of them refuse.
fn share_out(
    entries: &[Entry],
    spread: usize,
    admitted: impl Fn(&Entry) -> f32,
) -> (Vec<f32>, f32) {
    let weight = |entry: &Entry| f32::from(entry.weight.max(1)) * admitted(entry);
    let total: f32 = entries[..spread].iter().map(weight).sum();
    let mut refused: f32 = entries[..spread]
        .iter()
        .map(|entry| 1.0 - admitted(entry))
        .product();
    let mut shares = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        if at < spread {
            shares.push(if total > 0.0 {
                (1.0 - refused) * weight(entry) / total
            } else {
                0.0
            });
        } else {
            shares.push(refused * admitted(entry));
            refused *= 1.0 - admitted(entry);
        }
    }
    (shares, refused)
}
