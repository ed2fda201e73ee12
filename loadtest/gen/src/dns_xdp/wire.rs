//! Two network namespaces and the veth pair between them.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use crate::{
    GenError,
    process::{self, LOAD_CORE, SUBJECT_CORE},
};

/// The server's end.
pub(super) const SERVER_DEVICE: &str = "s0";
/// The loader's end.
pub(super) const CLIENT_DEVICE: &str = "g0";
/// Where servers listen.
pub(super) const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)), 53);
/// The loader's own address.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// Clients' addresses are of this /16, which the server reaches through the loader.
pub(super) const CLIENTS: [u8; 2] = [10, 98];

/// The namespaces; they go with this value, and the pair with them.
pub(super) struct Wire {
    /// The server's namespace.
    pub(super) server: String,
    /// The loader's namespace.
    pub(super) client: String,
}

/// A kernel thread that does a device's receive work.
pub(super) struct Napi {
    thread: u32,
}

impl Wire {
    /// Makes a pair with addresses, a route to the clients and fixed neighbours.
    pub(super) fn new(number: usize) -> Result<Self, GenError> {
        let of = |end: &str| format!("mbench-{}-{number}{end}", std::process::id());
        let wire = Self {
            server: of("s"),
            client: of("c"),
        };
        let Self { server, client } = &wire;
        ip(&format!("netns add {server}"))?;
        ip(&format!("netns add {client}"))?;
        // One queue each way: one core receives, one sends.
        ip(&format!(
            "link add {SERVER_DEVICE} netns {server} numrxqueues 1 numtxqueues 1 type veth \
             peer name {CLIENT_DEVICE} netns {client} numrxqueues 1 numtxqueues 1"
        ))?;
        let ends = [
            (server, SERVER_DEVICE, SERVER.ip()),
            (client, CLIENT_DEVICE, CLIENT.into()),
        ];
        for (namespace, device, address) in ends {
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!(
                "-n {namespace} addr add {address}/24 dev {device}"
            ))?;
            ip(&format!("-n {namespace} link set {device} up"))?;
        }
        let macs = [
            wire.mac(server, SERVER_DEVICE)?,
            wire.mac(client, CLIENT_DEVICE)?,
        ];
        for (namespace, device, neighbour, mac) in [
            (server, SERVER_DEVICE, IpAddr::from(CLIENT), &macs[1]),
            (client, CLIENT_DEVICE, SERVER.ip(), &macs[0]),
        ] {
            ip(&format!(
                "-n {namespace} neigh replace {neighbour} lladdr {mac} dev {device} nud permanent"
            ))?;
        }
        let [first, second] = CLIENTS;
        ip(&format!(
            "-n {server} route add {first}.{second}.0.0/16 via {CLIENT}"
        ))?;
        // The first client is real, for questions asked before the measurement.
        ip(&format!(
            "-n {client} addr add {first}.{second}.0.1/32 dev {CLIENT_DEVICE}"
        ))?;
        // A thread polls a veth's queue only if there is something to poll for.
        wire.on_server(&format!("ethtool -K {SERVER_DEVICE} gro on"))?;
        Ok(wire)
    }

    /// The MAC address of one end.
    pub(super) fn mac(&self, namespace: &str, device: &str) -> Result<String, GenError> {
        let words = format!("netns exec {namespace} cat /sys/class/net/{device}/address");
        Ok(ip(&words)?.trim().to_owned())
    }

    /// The MAC addresses of the loader's and the server's end.
    pub(super) fn macs(&self) -> Result<[String; 2], GenError> {
        Ok([
            self.mac(&self.client, CLIENT_DEVICE)?,
            self.mac(&self.server, SERVER_DEVICE)?,
        ])
    }

    /// The words that run a program in a namespace, by `ip`.
    pub(super) fn inside(namespace: &str, program: &Path, args: &[String]) -> Vec<String> {
        let words = ["netns", "exec", namespace].map(str::to_owned);
        let program = program.display().to_string();
        words
            .into_iter()
            .chain([program])
            .chain(args.iter().cloned())
            .collect()
    }

    /// Runs a program beside the server.
    pub(super) fn on_server(&self, words: &str) -> Result<String, GenError> {
        ip(&format!("netns exec {} {words}", self.server))
    }

    /// Runs a program beside the loader.
    pub(super) fn on_client(&self, words: &str) -> Result<String, GenError> {
        ip(&format!("netns exec {} {words}", self.client))
    }

    /// Whether an XDP program is attached at the server's end.
    pub(super) fn has_xdp(&self) -> Result<bool, GenError> {
        let link = ip(&format!("-n {} link show {SERVER_DEVICE}", self.server))?;
        Ok(link.contains("xdp"))
    }

    /// Takes whatever XDP program is there off the loader's end.
    pub(super) fn detach_from_client(&self) -> Result<(), GenError> {
        let client = &self.client;
        ip(&format!("-n {client} link set {CLIENT_DEVICE} xdp off")).map(drop)
    }

    /// Gives the server's receive work to a thread on the server's core.
    pub(super) fn pin_napi(&self) -> Result<Napi, GenError> {
        let before = napi_threads();
        self.set("threaded", "1")?;
        let threads = napi_threads();
        let new = threads.into_iter().find(|thread| !before.contains(thread));
        let thread = new.ok_or_else(|| GenError::Failed {
            program: "threaded NAPI".to_owned(),
            detail: format!("no thread napi/{SERVER_DEVICE} appeared"),
        })?;
        let core = SUBJECT_CORE.to_string();
        let words = ["-pc", &core, &thread.to_string()].map(str::to_owned);
        process::output(LOAD_CORE, &process::find("taskset", "util-linux")?, &words)?;
        Ok(Napi { thread })
    }

    /// Back to softirqs, on whichever core sends.
    pub(super) fn release_napi(&self) -> Result<(), GenError> {
        self.set("threaded", "0")
    }

    /// Leaves the receive work to whoever polls busily (docs/dns-xdp.md).
    pub(super) fn defer_interrupts(&self) -> Result<(), GenError> {
        self.set("napi_defer_hard_irqs", "2")?;
        self.set("gro_flush_timeout", "200000")
    }

    /// Writes one of the server's device's attributes.
    fn set(&self, attribute: &str, value: &str) -> Result<(), GenError> {
        let file = format!("/sys/class/net/{SERVER_DEVICE}/{attribute}");
        let words = ["netns", "exec", &self.server, "sh", "-c"].map(str::to_owned);
        let script = format!("echo {value} > {file}");
        let words: Vec<_> = words.into_iter().chain([script]).collect();
        process::output(LOAD_CORE, &process::find("ip", "iproute2")?, &words)?;
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.server, &self.client] {
            // Nothing to be done if it is gone.
            let _ = ip(&format!("netns del {namespace}"));
        }
    }
}

impl Napi {
    /// Its time on a core so far.
    pub(super) fn cpu(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.thread));
        let nanos = text.ok().and_then(|text| {
            let first = text.split_whitespace().next()?;
            first.parse().ok()
        });
        Duration::from_nanos(nanos.unwrap_or(0))
    }
}

/// Runs `ip`.
fn ip(words: &str) -> Result<String, GenError> {
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    process::output(LOAD_CORE, &process::find("ip", "iproute2")?, &words)
}

/// All kernel threads that poll a device of the server's name.
fn napi_threads() -> Vec<u32> {
    let prefix = format!("napi/{SERVER_DEVICE}-");
    let Ok(folder) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.starts_with(&prefix))
        })
        .collect()
}
