//! Signers for the zones that are to be signed, with the answers that steering is likely to give.

use std::net::IpAddr;

use meridian_engine::plan::MAX_ANSWERS;
use meridian_live::Published;

use super::Zones;
use crate::dnssec::{Set, Signing, ZoneSigner, push_record};
use crate::steered::{Families, SteeredAnswer, SteeredName};
use crate::wire::RType;
use crate::zone::{DisplayName, ServedZone, ZoneError};

impl Zones {
    /// Hangs a signer on each zone that is to be signed. What cannot be signed is served as it is and
    /// listed among the problems.
    #[must_use]
    pub fn signed(mut self, signing: &Signing, now: u32) -> Self {
        for apex in signing.apexes() {
            if self.set.zone(&apex).is_none() {
                let origin = DisplayName(apex);
                self.problems.push(ZoneError::NothingToSign { origin });
            }
        }
        for zone in self.set.zones_mut() {
            if zone.is_unready() || !signing.signs(zone.apex()) {
                continue;
            }
            if zone.data().came_signed() {
                let origin = DisplayName(zone.apex().into());
                self.problems.push(ZoneError::SignedAlready { origin });
                continue;
            }
            if let Some(mut signer) = signing.signer(zone.data(), now) {
                let likely = Likely {
                    published: &self.published,
                    left: signing.prepared_max(),
                    now,
                };
                likely.prepare(&mut signer, zone, &self.steered);
                zone.sign_by(signing.keep(signer));
            }
        }
        signing.forget_all_but(|apex| {
            let zone = self.set.zone(apex);
            zone.is_some_and(|zone| zone.signer().is_some())
        });
        self
    }
}

/// Signs likely answers ahead of the first question: each endpoint alone and each region's whole
/// set, for every name and family; each alias. Others are signed when they are first asked for.
struct Likely<'p> {
    published: &'p Published,
    /// How many more.
    left: usize,
    now: u32,
}

impl Likely<'_> {
    fn prepare(mut self, signer: &mut ZoneSigner, zone: &ServedZone, steered: &[SteeredName]) {
        for (name, idx) in zone.steered() {
            // Clients choose what a wildcard stands for.
            let Some(steered) = steered.get(idx.0 as usize) else {
                continue;
            };
            if name.starts_with(b"\x01*") {
                continue;
            }
            match &steered.answer {
                SteeredAnswer::Addresses { count, .. } => {
                    for addresses in self.address_sets(steered, count.at_most) {
                        self.addresses(signer, name, steered.ttl_seconds, &addresses);
                    }
                }
                SteeredAnswer::Endpoint(address) => {
                    self.addresses(signer, name, steered.ttl_seconds, &[*address]);
                }
                SteeredAnswer::Names(aliases) => {
                    for alias in aliases.iter().flatten() {
                        let data: &[&[u8]] = &[&alias.target];
                        self.sign(signer, name, RType::CNAME, steered.ttl_seconds, data);
                    }
                }
                // Their data depends on the picks in more ways than can be listed ahead.
                SteeredAnswer::Srv(_) | SteeredAnswer::Svcb { .. } => {}
            }
        }
    }

    fn address_sets(&self, steered: &SteeredName, at_most: usize) -> Vec<Vec<IpAddr>> {
        let topology = &self.published.world.topology;
        let mut regions: Vec<Vec<IpAddr>> = topology.regions.iter().map(|_| Vec::new()).collect();
        let mut sets = Vec::new();
        for (_, endpoint) in topology.endpoints_of(steered.service) {
            sets.push(vec![endpoint.address]);
            if let Some(region) = regions.get_mut(endpoint.region.index()) {
                region.push(endpoint.address);
            }
        }
        let whole = |set: &Vec<IpAddr>| (2..=at_most.min(MAX_ANSWERS)).contains(&set.len());
        sets.extend(regions.into_iter().filter(whole));
        sets.push(steered.fixed.to_vec());
        sets
    }

    fn addresses(
        &mut self,
        signer: &mut ZoneSigner,
        name: &[u8],
        ttl_seconds: u32,
        addresses: &[IpAddr],
    ) {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in addresses {
            match address {
                IpAddr::V4(address) => v4.push(address.octets()),
                IpAddr::V6(address) => v6.push(address.octets()),
            }
        }
        let v4: Vec<&[u8]> = v4.iter().map(|octets| &octets[..]).collect();
        let v6: Vec<&[u8]> = v6.iter().map(|octets| &octets[..]).collect();
        self.sign(signer, name, RType::A, ttl_seconds, &v4);
        self.sign(signer, name, RType::AAAA, ttl_seconds, &v6);
    }

    fn sign(
        &mut self,
        signer: &mut ZoneSigner,
        name: &[u8],
        rtype: RType,
        ttl_seconds: u32,
        data: &[&[u8]],
    ) {
        if data.is_empty() || self.left == 0 {
            return;
        }
        self.left -= 1;
        let mut records = Vec::new();
        for data in data {
            push_record(&mut records, rtype, ttl_seconds, &[data]);
        }
        let set = Set {
            owner: name,
            rtype,
            original_ttl_seconds: ttl_seconds,
            records: &records,
        };
        signer.prepare(&set, self.now);
    }
}

impl SteeredAnswer {
    /// The types that the name may have.
    pub(crate) fn types(&self) -> impl Iterator<Item = RType> {
        let (addresses, other): (&[RType], _) = match self {
            Self::Addresses {
                families, https, ..
            } => (families.types(), https.as_ref().map(|_| RType::HTTPS)),
            Self::Endpoint(IpAddr::V4(_)) => (&[RType::A], None),
            Self::Endpoint(IpAddr::V6(_)) => (&[RType::AAAA], None),
            Self::Names(_) => (&[], Some(RType::CNAME)),
            Self::Srv(_) => (&[], Some(RType::SRV)),
            Self::Svcb { .. } => (&[], Some(RType::SVCB)),
        };
        addresses.iter().copied().chain(other)
    }
}

impl Families {
    fn types(self) -> &'static [RType] {
        match self {
            Self::V4 => &[RType::A],
            Self::V6 => &[RType::AAAA],
            Self::Both => &[RType::A, RType::AAAA],
        }
    }
}
