//! What is asked of the proxies, benchmark by benchmark.

use super::{PEERS, responder};

/// The same without ourselves in another lane.
const OTHERS: [&str; 2] = ["haproxy", "nginx"];

/// How clients speak to the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 in clear text.
    Http,
    /// HTTP/1.1 over TLS 1.3.
    Https,
    /// HTTP/2 over TLS 1.3.
    H2,
}

/// A benchmark: what is asked, in one run.
#[derive(Debug)]
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// Who can be measured beside us.
    pub peers: &'static [&'static str],
    pub(super) protocol: Protocol,
    pub(super) cases: &'static [Case],
    /// Metrics of which is told how they grow with connections, from case to case.
    pub(super) growth: &'static [&'static str],
}

/// One load, and how much CPU of HAProxy's we may take for it.
#[derive(Debug)]
pub(super) struct Case {
    /// What its metrics' names end with; empty where each request is a connection and nothing else is
    /// measured.
    pub(super) name: &'static str,
    pub(super) connections: usize,
    pub(super) path: &'static str,
    /// Every request on a connection of its own.
    pub(super) fresh: bool,
    pub(super) goal: Option<f64>,
}

impl Case {
    /// 1 KB over and over on connections that stay.
    const fn kept(name: &'static str, connections: usize) -> Self {
        Self {
            name,
            connections,
            path: "/",
            fresh: false,
            goal: None,
        }
    }

    /// 1 KB over and over, each on a connection of its own.
    const fn fresh(name: &'static str, connections: usize) -> Self {
        Self {
            name,
            connections,
            path: "/",
            fresh: true,
            goal: None,
        }
    }

    /// What its metrics are called: rate, CPU, and how long half and 99 of 100 requests take.
    pub(super) fn metrics(&self) -> [String; 4] {
        if self.name.is_empty() {
            let of_connections = [
                "connections_per_second",
                "cpu_us_per_connection",
                "p50_ms",
                "p99_ms",
            ];
            return of_connections.map(str::to_owned);
        }
        let of_requests = [
            "requests_per_second",
            "cpu_us_per_request",
            "p50_ms",
            "p99_ms",
        ];
        of_requests.map(|metric| format!("{metric}_{}", self.name))
    }

    const fn at_most(self, goal: f64) -> Self {
        Self {
            goal: Some(goal),
            ..self
        }
    }
}

/// HTTP/1.1 keepalive: answers of 1 KB on 64 and 1,000 connections, and of 100 KB.
pub const HTTP: Suite = Suite {
    name: "http",
    peers: &PEERS,
    protocol: Protocol::Http,
    cases: &[
        Case::kept("64", 64).at_most(0.95),
        Case::kept("1000", 1_000).at_most(0.95),
        Case {
            name: "100kb",
            connections: 64,
            path: responder::LARGE_PATH,
            fresh: false,
            goal: None,
        },
    ],
    growth: &[],
};
/// A connection for each request.
pub const NEW: Suite = Suite {
    name: "http-new",
    peers: &PEERS,
    protocol: Protocol::Http,
    cases: &[Case::fresh("", 64)],
    growth: &[],
};
/// Up to as many connections as one process may hold on both sides.
pub const GROWTH: Suite = Suite {
    name: "http-growth",
    peers: &OTHERS,
    protocol: Protocol::Http,
    cases: &[
        Case::kept("1", 1),
        Case::kept("100", 100),
        Case::kept("1000", 1_000),
        Case::kept("9000", 9_000),
    ],
    growth: &["requests_per_second", "p99_ms"],
};
/// TLS 1.3: keepalive, and a whole handshake for each request.
pub const TLS: Suite = Suite {
    name: "tls",
    peers: &PEERS,
    protocol: Protocol::Https,
    cases: &[
        Case::kept("64", 64).at_most(0.95),
        Case::fresh("handshake", 64).at_most(0.8),
    ],
    growth: &[],
};
/// HTTP/2 over TLS 1.3, several streams on each connection. We have one lane for it.
pub const H2: Suite = Suite {
    name: "h2",
    peers: &OTHERS,
    protocol: Protocol::H2,
    cases: &[Case::kept("64", 64).at_most(1.3)],
    growth: &[],
};
