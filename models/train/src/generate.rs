//! A data set invented from geography, for when no measurements are at hand.
//!
//! Light in fibre over the great circle, times a detour per pair of continents, plus a last mile
//! per client, plus noise per pair. It has the shape of real data and none of its surprises: a
//! model trained on it knows nothing of the real Internet, and every report says so.

use std::collections::BTreeMap;

use meridian_score::Origin;
use meridian_topology::{Continent, Coordinates, Country};

use crate::data::{NamedSite, Observations, Sample, cloud_regions};
use crate::fit::settle;
use crate::random::SplitMix;

/// Clients in a generated set.
pub const CLIENTS: usize = 160;
/// Every how manyth known cloud region is in a generated set: 23 of 69.
const REGION_STEP: usize = 3;
/// Kilometres of cable per millisecond of round trip.
const KM_PER_MS: f64 = 100.0;
/// Degrees by which a client is moved off its country's centroid, at most.
const SCATTER_DEGREES: f64 = 3.0;
/// Latitudes beyond this many degrees would make the scatter senseless.
const LATITUDE_MAX: f64 = 80.0;

/// The same data set for the same seed, always.
pub fn generate(seed: u64) -> Observations {
    let mut random = SplitMix::new(seed);
    let detours = Detours::draw(&mut random);
    let regions: Vec<&NamedSite> = cloud_regions().iter().step_by(REGION_STEP).collect();
    let mut samples = Vec::with_capacity(CLIENTS * regions.len());
    let countries = Country::all();
    for number in 0..CLIENTS {
        let country = &countries[random.sample(countries.len(), 1)[0]];
        let client = client(number, country, &mut random);
        let last_mile_ms = 2.0 + random.exponential(6.0);
        for region in &regions {
            let km = client.coordinates.distance_km(&region.coordinates);
            let detour = detours.of(client.continent(), region.continent());
            let noise = random.between(0.95, 1.25);
            let rtt_ms = settle(last_mile_ms + 1.0 + km / KM_PER_MS * detour * noise);
            samples.push(Sample {
                client: client.clone(),
                region: (*region).clone(),
                rtt_ms,
                at_unix_s: None,
            });
        }
    }
    Observations::collect(
        format!("generated-{seed}"),
        Origin::Generated { seed },
        &samples,
    )
}

fn client(number: usize, country: &Country, random: &mut SplitMix) -> NamedSite {
    let mut scatter = || random.between(-SCATTER_DEGREES, SCATTER_DEGREES);
    let latitude = (country.centroid.latitude() + scatter()).clamp(-LATITUDE_MAX, LATITUDE_MAX);
    let longitude = (country.centroid.longitude() + scatter()).clamp(-180.0, 180.0);
    NamedSite {
        id: format!("generated-{number:03}"),
        coordinates: Coordinates::new(latitude, longitude)
            .expect("clamped to the range of coordinates"),
        country: Some(country.code),
        provider: None,
    }
}

/// How much longer than the great circle cables between two continents are.
struct Detours(BTreeMap<(Continent, Continent), f64>);

impl Detours {
    /// Between continents whose detour was not drawn.
    const ELSEWHERE: f64 = 1.5;

    fn draw(random: &mut SplitMix) -> Self {
        let mut factors = BTreeMap::new();
        for (at, one) in Continent::ALL.iter().enumerate() {
            for other in &Continent::ALL[at..] {
                let factor_max = if one == other { 1.7 } else { 2.6 };
                factors.insert((*one, *other), random.between(1.2, factor_max));
            }
        }
        Self(factors)
    }

    fn of(&self, one: Option<Continent>, other: Option<Continent>) -> f64 {
        one.zip(other)
            .and_then(|(one, other)| self.0.get(&(one.min(other), one.max(other))))
            .copied()
            .unwrap_or(Self::ELSEWHERE)
    }
}

#[cfg(test)]
mod tests;
