//! Regions, endpoints and client groups.

use super::Checker;
use crate::door::{Code, Field, Mistake, Source};
use crate::geo::{Coordinates, CoordinatesError};
use crate::ids::{Label, RegionIdx, ZoneId};
use crate::model::{ClientGroup, Cost, Drain, Endpoint, Location, Region};
use crate::raw::{RawClientGroup, RawCost, RawEndpoint, RawLocation, RawRegion};
use crate::topology::Topology;
use crate::units::{UsdPerGib, UsdPerMillionRequests, Weight};

/// What endpoints take over from their region.
struct Surroundings<'r> {
    region: Option<RegionIdx>,
    name: &'r str,
    zones: Vec<ZoneId>,
    compliance: Vec<Label>,
}

impl Checker {
    /// Adds a region and its endpoints to the topology.
    pub(super) fn region(&mut self, source: &Source, raw: &RawRegion, into: &mut Topology) {
        let zones = self.set(source, &raw.zones);
        let compliance = self.set(source, &raw.compliance);
        let surroundings = Surroundings {
            region: raw
                .id
                .get()
                .and_then(|id| self.names.regions.position(id))
                .and_then(RegionIdx::from_index),
            name: raw.id.get().map_or("?", |id| id.as_str()),
            zones,
            compliance,
        };
        let region = self.region_itself(source, raw, &surroundings);
        into.regions.extend(region);
        for endpoint in &raw.endpoints {
            let endpoint = self.endpoint(source, endpoint, &surroundings);
            into.endpoints.extend(endpoint);
        }
    }

    fn region_itself(
        &mut self,
        source: &Source,
        raw: &RawRegion,
        surroundings: &Surroundings<'_>,
    ) -> Option<Region> {
        let id = self.field(source, &raw.id).cloned();
        let location = self.location(source, &raw.location, surroundings);
        let capacity = self.optional(source, raw.capacity.as_ref());
        let cost = match &raw.cost {
            Some(cost) => self.cost(source, cost),
            None => Some(Cost::default()),
        };
        let priority = self.optional(source, raw.priority.as_ref());
        let drain = self.drain(source, raw.drain.as_ref());
        let id = id?;
        let implied = self.implied_priority.get(&id).copied();
        Some(Region {
            location: location?,
            zones: surroundings.zones.clone(),
            compliance: surroundings.compliance.clone(),
            capacity: capacity?,
            cost: cost?,
            priority: priority?.or(implied).unwrap_or(0),
            drain: drain?,
            id,
        })
    }

    fn location(
        &mut self,
        source: &Source,
        raw: &RawLocation,
        surroundings: &Surroundings<'_>,
    ) -> Option<Location> {
        let region = self.or(source, raw.region.as_ref(), surroundings.name.to_owned());
        let own = (surroundings.name, surroundings.zones.as_slice());
        let zone = self.zone_ref(source, raw.zone.as_ref(), own);
        let country = self.field(source, &raw.country).copied();
        let coordinates = self.coordinates(source, &raw.latitude, &raw.longitude);
        let provider = self.field(source, &raw.provider).cloned();
        Some(Location {
            region: region?,
            zone: zone?,
            country: country?,
            coordinates: coordinates?,
            provider: provider?,
        })
    }

    fn coordinates(
        &mut self,
        source: &Source,
        latitude: &Field<f64>,
        longitude: &Field<f64>,
    ) -> Option<Coordinates> {
        let north = self.field(source, latitude).copied();
        let east = self.field(source, longitude).copied();
        // One at a time, so that both are reported when both are wrong.
        let north = north.and_then(|n| self.coordinate(source, latitude, (n, 0.0)).map(|_| n));
        let east = east.and_then(|e| self.coordinate(source, longitude, (0.0, e)).map(|_| e));
        Coordinates::new(north?, east?).ok()
    }

    fn coordinate(
        &mut self,
        source: &Source,
        field: &Field<f64>,
        (latitude, longitude): (f64, f64),
    ) -> Option<Coordinates> {
        let error = match Coordinates::new(latitude, longitude) {
            Ok(coordinates) => return Some(coordinates),
            Err(error) => error,
        };
        let mistake = Mistake::new(error.to_string());
        let mistake = match error {
            CoordinatesError::Latitude(degrees) if degrees.abs() <= 180.0 => {
                mistake.help("are latitude and longitude swapped?")
            }
            _ => mistake,
        };
        self.wrong(source, field.span, Code::OUT_OF_RANGE, mistake);
        None
    }

    fn cost(&mut self, source: &Source, raw: &RawCost) -> Option<Cost> {
        let egress = self.or(source, raw.egress.as_ref(), UsdPerGib::default());
        let request = self.or(
            source,
            raw.request.as_ref(),
            UsdPerMillionRequests::default(),
        );
        Some(Cost {
            egress: egress?,
            request: request?,
        })
    }

    fn drain(&mut self, source: &Source, field: Option<&Field<bool>>) -> Option<Drain> {
        let drain = self.or(source, field, false)?;
        Some(if drain {
            Drain::Draining
        } else {
            Drain::Serving
        })
    }

    /// A zone of a region, given by its name and zones.
    pub(super) fn zone_ref(
        &mut self,
        source: &Source,
        field: Option<&Field<ZoneId>>,
        (region, zones): (&str, &[ZoneId]),
    ) -> Option<Option<ZoneId>> {
        let Some(field) = field else {
            return Some(None);
        };
        let zone = self.field(source, field)?;
        if zones.contains(zone) {
            return Some(Some(zone.clone()));
        }
        let what = format!("zone of region `{region}` called");
        let known = zones.iter().map(ZoneId::as_str);
        self.unknown(source, field.span, (&what, zone.as_str()), known);
        None
    }

    fn endpoint(
        &mut self,
        source: &Source,
        raw: &RawEndpoint,
        surroundings: &Surroundings<'_>,
    ) -> Option<Endpoint> {
        let id = self.field(source, &raw.id).cloned();
        let address = self.field(source, &raw.address).copied();
        let port = self.port(source, &raw.port);
        let own = (surroundings.name, surroundings.zones.as_slice());
        let zone = self.zone_ref(source, raw.zone.as_ref(), own);
        let weight = self.or(source, raw.weight.as_ref(), Weight::default());
        let capacity = self.optional(source, raw.capacity.as_ref());
        let cost = match &raw.cost {
            Some(cost) => self.cost(source, cost).map(Some),
            None => Some(None),
        };
        let drain = self.drain(source, raw.drain.as_ref());
        let mut compliance = self.set(source, &raw.compliance);
        compliance.extend(surroundings.compliance.iter().cloned());
        compliance.sort();
        compliance.dedup();
        let health_checks = self.health_checks(source, &raw.health_checks);
        self.set(source, &raw.services);
        let mut services: Vec<_> = raw
            .services
            .iter()
            .filter_map(|field| {
                field.get()?;
                self.service_ref(source, field)
            })
            .collect();
        services.sort();
        services.dedup();
        if raw.services.is_empty() {
            let mistake = Mistake::new("this endpoint serves no service")
                .help("name one under `services`, or remove the endpoint");
            self.wrong(source, raw.id.span, Code::MISSING_FIELD, mistake);
        }
        Some(Endpoint {
            id: id?,
            region: surroundings.region?,
            zone: zone?,
            address: address?,
            port: port?,
            services,
            weight: weight?,
            capacity: capacity?,
            cost: cost?,
            compliance,
            drain: drain?,
            health_checks,
        })
    }

    pub(super) fn client_group(
        &mut self,
        source: &Source,
        raw: &RawClientGroup,
    ) -> Option<ClientGroup> {
        let id = self.field(source, &raw.id).cloned();
        let cidrs = self.set(source, &raw.cidrs);
        let country = self.optional(source, raw.country.as_ref());
        let coordinates = match (&raw.latitude, &raw.longitude) {
            (Some(latitude), Some(longitude)) => {
                self.coordinates(source, latitude, longitude).map(Some)
            }
            (None, None) => Some(None),
            (Some(one), None) | (None, Some(one)) => {
                let mistake = Mistake::new("`latitude` and `longitude` belong together")
                    .help("give both or none");
                self.wrong(source, one.span, Code::CONFLICT, mistake);
                None
            }
        };
        let asn = self.optional(source, raw.asn.as_ref());
        let provider = self.optional(source, raw.provider.as_ref());
        let region = match &raw.region {
            Some(field) => self.region_ref(source, field).map(Some),
            None => Some(None),
        };
        if raw.cidrs.is_empty() {
            let mistake =
                Mistake::new("this client group has no addresses").help("list networks in `cidrs`");
            self.wrong(source, raw.id.span, Code::MISSING_FIELD, mistake);
        }
        Some(ClientGroup {
            id: id?,
            cidrs,
            country: country?,
            coordinates: coordinates?,
            asn: asn?,
            provider: provider?,
            region: region?,
        })
    }
}
