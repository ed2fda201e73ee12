//! A proxy with a world of its own.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipnet::IpNet;
use meridian_engine::{ClassTable, ClassTableBuilder, ClientClass, PolicySet, World};
use meridian_http::{HttpConfig, HttpError, HttpServer, HttpTelemetry, PassiveSink};
use meridian_live::{PassiveKind, PassiveReport, PlanHandle};
use meridian_telemetry::Metrics;
use meridian_topology::{EndpointIdx, SourceFile, Topology};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::upstream::Upstream;

/// Host of the service that most tests ask.
pub const SHOP: &str = "shop.example";

/// Which lane serves HTTP/1.1: the tests are built twice, under two names, and run through both.
pub const LANE: &str = if env!("CARGO_CRATE_NAME").len() == "it".len() {
    "own"
} else {
    "pingora"
};

/// The YAML of a world, as a test puts it together.
#[derive(Clone)]
pub struct WorldText {
    regions: String,
    region_names: Vec<String>,
    services: String,
    policies: Vec<SourceFile>,
    classes: Vec<(IpNet, ClientClass)>,
}

impl WorldText {
    pub fn new() -> Self {
        Self {
            regions: String::new(),
            region_names: Vec::new(),
            services: String::new(),
            policies: Vec::new(),
            classes: Vec::new(),
        }
    }

    /// A region in a country with labels; earlier regions are preferred.
    /// `endpoints` are pairs of an address and the services there.
    pub fn region(
        mut self,
        name: &str,
        country: &str,
        labels: &str,
        endpoints: &[(SocketAddr, &str)],
    ) -> Self {
        let priority = self.region_names.len();
        writeln!(
            self.regions,
            "  - id: {name}\n    location: {{ country: {country}, latitude: 50, longitude: 8, provider: lab }}\n    compliance: [{labels}]\n    priority: {priority}\n    endpoints:"
        )
        .unwrap();
        for (number, (address, services)) in endpoints.iter().enumerate() {
            writeln!(
                self.regions,
                "      - {{ id: {name}-{number}, address: \"{}\", port: {}, services: [{services}] }}",
                address.ip(),
                address.port()
            )
            .unwrap();
        }
        self.region_names.push(name.to_owned());
        self
    }

    /// A service with the policy of its own name; `routes` is the YAML list.
    pub fn service(mut self, name: &str, policy: &str, routes: &str) -> Self {
        writeln!(
            self.services,
            "  - {{ id: {name}, policy: {name}, http: {routes} }}"
        )
        .unwrap();
        let text = format!("policy: {name}\n{policy}\n");
        self.policies
            .push(SourceFile::new(format!("{name}.yaml"), text));
        self
    }

    /// Clients of a country.
    pub fn clients(mut self, net: &str, country: &str) -> Self {
        let class = ClientClass::default().in_country(country.parse().unwrap());
        self.classes.push((net.parse().unwrap(), class));
        self
    }

    pub fn build(&self) -> World {
        let text = format!("regions:\n{}services:\n{}", self.regions, self.services);
        let file = SourceFile::new("topology.yaml".to_owned(), text);
        let topology = Topology::parse(&[file]).unwrap_or_else(|problems| panic!("{problems}"));
        let policies = PolicySet::parse(&self.policies, &topology)
            .unwrap_or_else(|problems| panic!("{problems}"));
        World::new(
            Arc::new(topology),
            Arc::new(policies),
            Arc::new(self.class_table()),
        )
    }

    fn class_table(&self) -> ClassTable {
        let mut builder = ClassTableBuilder::new();
        for (net, class) in &self.classes {
            builder.insert(*net, class.clone()).unwrap();
        }
        builder.build().unwrap()
    }
}

/// One service `shop` on these upstreams, all in one region.
pub fn one_region(upstreams: &[&Upstream], route: &str) -> WorldText {
    let endpoints: Vec<_> = upstreams
        .iter()
        .map(|upstream| (upstream.address, "shop"))
        .collect();
    WorldText::new().region("a", "DE", "", &endpoints).service(
        "shop",
        "",
        &format!("[{{ hosts: [{SHOP}], {route} }}]"),
    )
}

/// One service `shop`, each upstream in a region of its own, the first preferred.
pub fn region_each(upstreams: &[&Upstream], route: &str) -> WorldText {
    let mut world = WorldText::new();
    for (number, upstream) in upstreams.iter().enumerate() {
        let name = format!("r{number}");
        world = world.region(&name, "DE", "", &[(upstream.address, "shop")]);
    }
    let order: Vec<_> = (0..upstreams.len())
        .map(|number| format!("[r{number}]"))
        .collect();
    world.service(
        "shop",
        &format!("tiers: [{}]", order.join(", ")),
        &format!("[{{ hosts: [{SHOP}], {route} }}]"),
    )
}

/// Keeps the reports for the test.
#[derive(Default)]
pub struct Reports(Mutex<Vec<(String, PassiveKind)>>);

impl PassiveSink for Reports {
    fn report(&self, report: PassiveReport) {
        let entry = (report.endpoint.to_string(), report.kind);
        self.0.lock().unwrap().push(entry);
    }
}

impl Reports {
    pub fn all(&self) -> Vec<(String, PassiveKind)> {
        self.0.lock().unwrap().clone()
    }
}

/// A proxy that runs until the test ends.
pub struct Node {
    pub address: SocketAddr,
    pub tls_address: Option<SocketAddr>,
    pub plan: PlanHandle,
    pub metrics: Metrics,
    pub reports: Arc<Reports>,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<Result<(), HttpError>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Node {
    /// Starts a proxy; `config` is YAML beside the listeners' addresses.
    pub fn start(world: &WorldText, config: &str) -> Self {
        Self::start_with(world, config, HttpTelemetry::metrics_only)
    }

    pub fn start_with(
        world: &WorldText,
        config: &str,
        telemetry: impl FnOnce(Metrics) -> HttpTelemetry,
    ) -> Self {
        let workers = if config.contains("worker_threads") {
            ""
        } else {
            "worker_threads: 2"
        };
        let text = format!("listen: [\"127.0.0.1:0\"]\nlane: {LANE}\n{workers}\n{config}");
        let config: HttpConfig = serde_saphyr::from_str(&text).unwrap();
        let settings = config.validate().unwrap();
        let plan = PlanHandle::fixed(world.build());
        let metrics = Metrics::new();
        let reports = Arc::new(Reports::default());
        let sink = Arc::clone(&reports) as Arc<dyn PassiveSink>;
        let telemetry = telemetry(metrics.clone());
        let server = HttpServer::bind(&settings, &plan, sink, telemetry).unwrap();
        let shutdown = CancellationToken::new();
        Self {
            address: server.local_addrs()[0],
            tls_address: server.local_tls_addrs().first().copied(),
            plan,
            metrics,
            reports,
            task: tokio::spawn(server.run(shutdown.clone())),
            shutdown,
        }
    }

    /// The upstreams in the order in which a client on 127.0.0.1 is sent to
    /// them while the ones before fail.
    pub fn order<'a>(&self, upstreams: &[&'a Upstream]) -> Vec<&'a Upstream> {
        let published = self.plan.full();
        let topology = &published.world.topology;
        let service = topology.service(&"shop".parse().unwrap()).unwrap();
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let class = published.world.classes.lookup(client).class;
        let key = published.plan.client_key(service, client);
        let mut tried: Vec<EndpointIdx> = Vec::new();
        while let Some(pick) =
            published
                .plan
                .pick_excluding(service, class, key, &published.bits, &tried)
        {
            tried.push(pick.endpoint);
        }
        let at = |index: &EndpointIdx| topology.endpoints[index.index()].socket_addr();
        tried
            .iter()
            .map(|index| {
                *upstreams
                    .iter()
                    .find(|upstream| upstream.address == at(index))
                    .unwrap()
            })
            .collect()
    }

    /// The value of a metric's line, 0 when it is not there.
    pub fn metric(&self, line: &str) -> f64 {
        let text = self.metrics.render().unwrap();
        text.lines()
            .find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
            .unwrap_or(0.0)
    }

    /// Waits until a metric has a value.
    pub async fn metric_becomes(&self, line: &str, value: f64) {
        eventually(line, || self.metric(line) == value).await;
    }
}

/// Waits for a condition, long beyond what any machine needs.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
