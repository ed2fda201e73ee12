//! What a model knows of a client and a region: a fixed vector of named numbers.
//!
//! The layout is part of the artifact: its names are stored in it and compared on load.
//!
//! - Distance three ways (linear, logarithm, square root): light in fibre is linear, the last
//!   mile is not.
//! - Same country, same provider, the region's provider.
//! - Both places as points on the unit sphere. Sines and cosines and never raw degrees, so that
//!   179.9° and -179.9° are neighbours and a linear model may use them.
//! - Per unordered pair of continents an indicator and the distance times it: cables between two
//!   continents take their own detours. The pair Europe–Europe has neither and is the reference:
//!   a full set would sum to the intercept, and least squares has no unique answer then. For the
//!   same reason Azure has no column of its own, and there is no "same continent" column.
//!
//! Limit: a site without a known continent is at the reference for every pair.

use std::sync::OnceLock;

use meridian_topology::{Continent, Coordinates, CountryCode, Region};

#[cfg(test)]
mod tests;

/// One end of a path: a client class or a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site<'a> {
    /// Where it is; of a country alone, its centroid.
    pub coordinates: Coordinates,
    /// Its country.
    pub country: Option<CountryCode>,
    /// Its continent.
    pub continent: Option<Continent>,
    /// Whose network or cloud it is in, in lower case, such as `aws`.
    pub provider: Option<&'a str>,
}

/// Where a region is.
pub fn region_site(region: &Region) -> Site<'_> {
    let location = &region.location;
    Site {
        coordinates: location.coordinates,
        country: Some(location.country),
        continent: location.country.country().map(|country| country.continent),
        provider: Some(location.provider.as_str()),
    }
}

/// The continents that form pairs, in the order of their columns. Antarctica has no region.
const CONTINENTS: [(Continent, &str); 6] = [
    (Continent::Africa, "africa"),
    (Continent::Asia, "asia"),
    (Continent::Europe, "europe"),
    (Continent::NorthAmerica, "north_america"),
    (Continent::Oceania, "oceania"),
    (Continent::SouthAmerica, "south_america"),
];
const EUROPE: usize = 2;
const PAIRS: usize = CONTINENTS.len() * (CONTINENTS.len() + 1) / 2;

const PLAIN: [&str; 13] = [
    "distance_mm",
    "distance_log",
    "distance_sqrt",
    "same_country",
    "same_provider",
    "region_aws",
    "region_gcp",
    "client_x",
    "client_y",
    "client_z",
    "region_x",
    "region_y",
    "region_z",
];

/// Length of the feature vector.
pub const FEATURE_COUNT: usize = PLAIN.len() + 2 * (PAIRS - 1);

/// One feature vector, in the order of [`feature_names`].
pub type Features = [f64; FEATURE_COUNT];

/// Kilometres in the unit of `distance_mm` (megametres): keeps columns of one magnitude.
const KM_PER_MM: f64 = 1000.0;

/// The names of the features, in order.
pub fn feature_names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names: Vec<String> = PLAIN.map(str::to_owned).to_vec();
        for (i, (_, one)) in CONTINENTS.iter().enumerate() {
            for (j, (_, other)) in CONTINENTS.iter().enumerate().skip(i) {
                if pair_column(i, j).is_some() {
                    names.push(format!("{one}:{other}"));
                    names.push(format!("{one}:{other}:distance_mm"));
                }
            }
        }
        names
    })
}

/// The features of a client asking a region.
pub fn features(client: &Site<'_>, region: &Site<'_>) -> Features {
    let km = client.coordinates.distance_km(&region.coordinates);
    let distance_mm = km / KM_PER_MM;
    let mut vector = [0.0; FEATURE_COUNT];
    let [client_x, client_y, client_z] = on_sphere(client.coordinates);
    let [region_x, region_y, region_z] = on_sphere(region.coordinates);
    let plain: [f64; PLAIN.len()] = [
        distance_mm,
        km.ln_1p(),
        distance_mm.sqrt(),
        indicator(client.country.is_some() && client.country == region.country),
        indicator(client.provider.is_some() && client.provider == region.provider),
        indicator(region.provider == Some("aws")),
        indicator(region.provider == Some("gcp")),
        client_x,
        client_y,
        client_z,
        region_x,
        region_y,
        region_z,
    ];
    vector[..PLAIN.len()].copy_from_slice(&plain);
    let pair = position(client.continent).zip(position(region.continent));
    if let Some(column) = pair.and_then(|(one, other)| pair_column(one, other)) {
        vector[column] = 1.0;
        vector[column + 1] = distance_mm;
    }
    vector
}

fn indicator(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// The place as a point on the unit sphere.
fn on_sphere(place: Coordinates) -> [f64; 3] {
    let (latitude, longitude) = (
        place.latitude().to_radians(),
        place.longitude().to_radians(),
    );
    let around = latitude.cos();
    [
        around * longitude.cos(),
        around * longitude.sin(),
        latitude.sin(),
    ]
}

fn position(continent: Option<Continent>) -> Option<usize> {
    let continent = continent?;
    CONTINENTS.iter().position(|(known, _)| *known == continent)
}

/// The first of the pair's two columns; none for the reference pair.
fn pair_column(one: usize, other: usize) -> Option<usize> {
    let (low, high) = (one.min(other), one.max(other));
    // Row `low` of an upper triangle starts after the rows above it, of length 6, 5, 4 ...
    let index = |low: usize, high: usize| low * (2 * CONTINENTS.len() + 1 - low) / 2 + high - low;
    let (index, reference) = (index(low, high), index(EUROPE, EUROPE));
    match index.cmp(&reference) {
        std::cmp::Ordering::Less => Some(PLAIN.len() + 2 * index),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(PLAIN.len() + 2 * (index - 1)),
    }
}
