//! The state of this node as one value: what `meridian get status` and the API show.

use meridian_geo::SourceNote;
use serde::Serialize;

/// Everything an operator asks first.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Publication number of this process.
    pub sequence: u64,
    /// Generation of the plan in force: equal on nodes that decide alike.
    pub generation: u64,
    /// Store revision the plan was made from.
    pub revision: u64,
    /// Milliseconds the last compile took.
    pub compile_ms: f64,
    /// Bytes the plan holds.
    pub plan_bytes: usize,
    /// Whether the newest sources are in force.
    pub sources: SourcesStatus,
    /// The model that scores regions, `name version`; `None`: distance alone.
    pub model: Option<String>,
    /// Whether the store answers.
    pub store: StoreHealth,
    /// Where clients' classes come from.
    pub geo: GeoStatus,
    /// Every region.
    pub regions: Vec<RegionStatus>,
    /// Every endpoint.
    pub endpoints: Vec<EndpointStatus>,
    /// Doubts about the configuration that do not stop it.
    pub warnings: Vec<String>,
}

/// The class table in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GeoStatus {
    /// Names the content of a table file; `None` for a table that the node made of its sources.
    pub id: Option<String>,
    /// When it was built, in seconds since 1970.
    pub built_unix_seconds: u64,
    /// Milliseconds that building or loading it took.
    pub took_ms: f64,
    /// Size of the file, or of the memory of a table that is none.
    pub bytes: u64,
    /// Memory of the table with the client groups laid over it.
    pub memory_bytes: usize,
    /// Classes, client groups included.
    pub classes: usize,
    /// Ranges of IPv4.
    pub ranges_v4: usize,
    /// Ranges of IPv6.
    pub ranges_v6: usize,
    /// Size of the cells that places are rounded to.
    pub grid_degrees: f64,
    /// What it is made of, lowest first.
    pub sources: Vec<SourceNote>,
    /// Autonomous systems that policies name and the table does not tell apart.
    pub missing_asns: Vec<u32>,
    /// Why the newest files are not in force; `None` when they are.
    pub problem: Option<String>,
}

/// Whether the newest sources are in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SourcesStatus {
    /// Yes.
    InForce,
    /// No: they were refused and an older, good state serves.
    Rejected {
        /// `directory` or `store`.
        origin: &'static str,
        /// Every problem, with file, line, field and fix.
        problems: String,
    },
}

/// Whether the store answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StoreHealth {
    /// The watch is running.
    Following,
    /// It does not; the last good plan keeps serving.
    Lost {
        /// The store's last error.
        cause: String,
    },
}

/// One region at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct RegionStatus {
    /// Its id.
    pub id: String,
    /// Endpoints that take new clients.
    pub serving: usize,
    /// All its endpoints.
    pub endpoints: usize,
    /// True while an administrator drains it.
    pub drained: bool,
    /// Share of its clients it takes back at present, 0 to 1.
    pub ramp: f64,
    /// Requests a second over its capacity; `None` without a capacity.
    pub utilization: Option<f64>,
    /// Its endpoints that flap.
    pub flapping: usize,
}

/// One endpoint at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointStatus {
    /// Its id.
    pub id: String,
    /// Its region.
    pub region: String,
    /// Address and port.
    pub address: String,
    /// `serving`, `down`, `ejected` or `drained`.
    pub state: &'static str,
    /// Why, in words.
    pub cause: String,
    /// Seconds since the state last changed.
    pub since_s: u64,
    /// Changes between serving and not since this process started, drains aside.
    pub transitions: u64,
    /// Those of the last ten minutes, at most 64.
    pub recent_transitions: usize,
    /// True from four changes in ten minutes on.
    pub flapping: bool,
}
