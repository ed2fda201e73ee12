//! `bench decide` and `bench compile`: the engine alone, in this process, on synthetic worlds.
//!
//! `decide` measures one pick in a world of 50 regions, 20 services and 5,000 classes, over random
//! services, classes and client keys drawn beforehand. `compile` measures a whole plan of 50 regions
//! with 1,000 endpoints each, its memory, how both grow with the number of regions, and the big case
//! of ten thousand services ([`big`]).

mod big;

use std::{hint::black_box, time::Instant};

use meridian_engine::{ClassId, ClientKey, HealthBits, Plan, compile, synthetic};
use meridian_topology::ServiceIdx;

use crate::{
    GenError,
    dns::geography::Random,
    machine::Machine,
    process::{self, SUBJECT_CORE},
    report::{Better, Growth, Metric, OURS, Report, Samples, log_log_slope, median},
    rounds::Effort,
};

/// Services of every world.
const SERVICES: usize = 20;
/// Client classes of every world.
const CLASSES: usize = 5_000;
/// Regions of the world the goals are set for.
const REGIONS: usize = 50;
/// Endpoints of each region of that world.
const ENDPOINTS_PER_REGION: usize = 1_000;
/// Sizes of the growth tables.
const GROWTH_REGIONS: [usize; 4] = [1, 10, 50, 200];
/// Endpoints of each region in the growth tables: 1,000 at the usual 50 regions.
const GROWTH_ENDPOINTS_PER_REGION: usize = 20;
/// Picks timed together: far above the clock's resolution.
const PICKS: usize = 1 << 20;
/// Makes the worlds.
const SEED: u64 = 7;

fn metric(name: &str, unit: &'static str) -> Metric {
    Metric {
        name: name.to_owned(),
        unit,
        better: Better::Lower,
        goals: Vec::new(),
    }
}

fn report(
    bench: &str,
    effort: Effort,
    samples: &Samples,
    metrics: &[Metric],
    growth: Vec<Growth>,
) -> Report {
    let (rows, ratios) = samples.summarise(metrics, &[OURS.to_owned()]);
    Report {
        bench: bench.to_owned(),
        machine: Machine::here(),
        rounds: effort.rounds(),
        rows,
        ratios,
        growth,
    }
}

/// Runs `bench decide`.
///
/// # Errors
/// When the synthetic world has no endpoint to pick.
pub fn decide(effort: Effort) -> Result<Report, GenError> {
    process::stay_on(SUBJECT_CORE)?;
    let picks = Picks::draw(SERVICES, CLASSES);
    let mut samples = Samples::default();
    for (name, endpoints) in [
        ("pick_ns", GROWTH_ENDPOINTS_PER_REGION),
        ("pick_ns_50000_endpoints", ENDPOINTS_PER_REGION),
    ] {
        let world = synthetic::world(REGIONS, endpoints, SERVICES, CLASSES, SEED);
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        // Caches and branch predictors as in a process that has been serving for a while.
        picks.time(&plan, &bits)?;
        for _ in 0..effort.rounds() {
            samples.add(OURS, name, picks.time(&plan, &bits)?);
        }
    }
    let mut points = Vec::new();
    for regions in GROWTH_REGIONS {
        let world = synthetic::world(
            regions,
            GROWTH_ENDPOINTS_PER_REGION,
            SERVICES,
            CLASSES,
            SEED,
        );
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        points.push((regions as f64, repeat(effort, || picks.time(&plan, &bits))?));
    }
    let metrics = [
        metric("pick_ns", "ns"),
        metric("pick_ns_50000_endpoints", "ns"),
    ];
    let growth = vec![growth("pick_ns", points)];
    Ok(report("decide", effort, &samples, &metrics, growth))
}

/// Questions drawn beforehand, so that drawing is not measured.
struct Picks(Vec<(ServiceIdx, ClassId, ClientKey)>);

impl Picks {
    fn draw(services: usize, classes: usize) -> Self {
        let mut random = Random::new(SEED);
        let picks = (0..PICKS).map(|_| {
            let service = ServiceIdx(random.below(services) as u16);
            // Class 0 is the unknown one; the others are numbered from 1.
            let class = ClassId(1 + random.below(classes) as u32);
            (service, class, ClientKey(random.next()))
        });
        Self(picks.collect())
    }

    /// Nanoseconds a pick.
    fn time(&self, plan: &Plan, bits: &HealthBits) -> Result<f64, GenError> {
        let began = Instant::now();
        let mut found = 0_usize;
        for &(service, class, key) in &self.0 {
            let pick = black_box(plan).pick(service, class, key, bits);
            found += usize::from(black_box(pick).is_some());
        }
        let ns = began.elapsed().as_secs_f64() * 1e9 / self.0.len() as f64;
        if found * 2 < self.0.len() {
            let of = self.0.len();
            return Err(GenError::World(format!("only {found} of {of} are picked")));
        }
        Ok(ns)
    }
}

/// Runs `bench compile`.
///
/// # Errors
/// When this process cannot be kept on one core.
pub fn compile_plans(effort: Effort) -> Result<Report, GenError> {
    process::stay_on(SUBJECT_CORE)?;
    let mut samples = Samples::default();
    let world = synthetic::world(REGIONS, ENDPOINTS_PER_REGION, SERVICES, CLASSES, SEED);
    for _ in 0..effort.rounds() {
        let (ms, bytes) = time_compile(&world);
        samples.add(OURS, "plan_ms", ms);
        samples.add(OURS, "plan_bytes", bytes);
    }
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    for regions in GROWTH_REGIONS {
        let world = synthetic::world(
            regions,
            GROWTH_ENDPOINTS_PER_REGION,
            SERVICES,
            CLASSES,
            SEED,
        );
        let bytes = time_compile(&world).1;
        times.push((
            regions as f64,
            repeat(effort, || Ok(time_compile(&world).0))?,
        ));
        sizes.push((regions as f64, bytes));
        if regions == REGIONS {
            for _ in 0..effort.rounds() {
                let (ms, bytes) = time_compile(&world);
                samples.add(OURS, "plan_ms_1000_endpoints", ms);
                samples.add(OURS, "plan_bytes_1000_endpoints", bytes);
            }
        }
    }
    big::measure(effort, &mut samples)?;
    let mut metrics = vec![
        metric("plan_ms", "ms"),
        metric("plan_bytes", "B"),
        metric("plan_ms_1000_endpoints", "ms"),
        metric("plan_bytes_1000_endpoints", "B"),
    ];
    metrics.extend(big::metrics());
    let growth = vec![growth("plan_ms", times), growth("plan_bytes", sizes)];
    Ok(report("compile", effort, &samples, &metrics, growth))
}

/// Milliseconds to compile a world, and the plan's bytes.
fn time_compile(world: &meridian_engine::World) -> (f64, f64) {
    let began = Instant::now();
    let plan = compile(black_box(world));
    let ms = began.elapsed().as_secs_f64() * 1e3;
    (ms, plan.memory_bytes() as f64)
}

/// The median of as many repetitions as there are rounds.
fn repeat(
    effort: Effort,
    mut measure: impl FnMut() -> Result<f64, GenError>,
) -> Result<f64, GenError> {
    let mut values = (0..effort.rounds())
        .map(|_| measure())
        .collect::<Result<Vec<_>, _>>()?;
    values.sort_by(f64::total_cmp);
    Ok(median(&values).expect("there is at least one round"))
}

fn growth(metric: &str, points: Vec<(f64, f64)>) -> Growth {
    Growth {
        metric: metric.to_owned(),
        over: format!("regions of {GROWTH_ENDPOINTS_PER_REGION} endpoints"),
        slope: log_log_slope(&points),
        points,
    }
}
