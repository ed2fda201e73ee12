//! `service_types`: what is monitored and how, as health checks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::is_true;
use super::vscf::Value;
use crate::note::{At, Notes};
use crate::yaml;

/// Most results in a row that one of our checks may ask for.
const RUN_MAX: u32 = 20;

/// What a service type does.
#[derive(Debug, Clone)]
enum ServiceType {
    /// Nothing is monitored: always up.
    Up,
    /// Always down.
    Down,
    /// A check as YAML, and the port it goes to if it names one.
    Check { yaml: String, port: Option<u16> },
    /// Something that has no counterpart; named when it is used.
    Unknown(&'static str),
}

/// Every service type by name.
#[derive(Debug)]
pub(super) struct Checks {
    types: BTreeMap<String, ServiceType>,
}

/// What several service types together make of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EndpointChecks {
    /// YAML of each.
    pub(super) checks: Vec<String>,
    /// Where clients are expected: the first check's port.
    pub(super) port: Option<u16>,
    /// Always down.
    pub(super) drained: bool,
}

impl Checks {
    pub(super) fn read(section: Option<&Value>, notes: &mut Notes) -> Self {
        let mut types = BTreeMap::from([
            ("up".to_owned(), ServiceType::Up),
            ("down".to_owned(), ServiceType::Down),
            // The name that plugins fall back to; "up" unless it is defined.
            ("default".to_owned(), ServiceType::Up),
        ]);
        for (name, value) in section.map_or(&[][..], Value::entries) {
            types.insert(name.clone(), service_type(name, value, notes));
        }
        Self { types }
    }

    /// The checks of an endpoint that is monitored by these service types.
    pub(super) fn of(&self, names: &[String], at: &At, notes: &mut Notes) -> EndpointChecks {
        let mut made = EndpointChecks::default();
        for name in names {
            match self.types.get(name) {
                None => notes.none(at, format!("service type `{name}` is defined nowhere")),
                Some(ServiceType::Up) => {}
                Some(ServiceType::Down) => {
                    notes.check(
                        at,
                        format!("service type `{name}` is always down: the endpoints are drained"),
                    );
                    made.drained = true;
                }
                Some(ServiceType::Check { yaml, port }) => {
                    if !made.checks.contains(yaml) {
                        made.checks.push(yaml.clone());
                    }
                    made.port = made.port.or(*port);
                }
                Some(ServiceType::Unknown(why)) => {
                    notes.none(
                        at,
                        format!(
                            "service type `{name}`: {why}; its endpoints are not checked by it"
                        ),
                    );
                }
            }
        }
        made.checks.sort();
        made
    }
}

fn service_type(name: &str, value: &Value, notes: &mut Notes) -> ServiceType {
    let text = |key: &str| value.get(key).and_then(Value::text);
    let at = &value.at;
    let mut yaml = match text("plugin") {
        Some("http_status") => http(value),
        Some("tcp_connect") => "tcp: {}".to_owned(),
        Some("extmon") => match exec(value) {
            Some(yaml) => {
                notes.check(at, format!("`{name}` runs a program: nodes refuse that until `probe: {{ exec_checks: run }}` stands in meridian.yaml"));
                if is_true(value.get("direct")) {
                    notes.check(at, format!("`{name}`: `direct` took each result at once; here `rise` and `fall` count"));
                }
                yaml
            }
            None => return ServiceType::Unknown("`extmon` without `cmd`"),
        },
        Some("static") => {
            return match text("state") {
                Some(state) if state.eq_ignore_ascii_case("down") => ServiceType::Down,
                _ => ServiceType::Up,
            };
        }
        Some("null") => return ServiceType::Down,
        Some("extfile") => {
            return ServiceType::Unknown(
                "`extfile` (states from a file) has no counterpart: use an `exec` check that reads the file, or drain by `meridian drain`",
            );
        }
        _ => return ServiceType::Unknown("its monitoring plugin is not known"),
    };
    let number = |key: &str, default: u32| {
        text(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let interval = number("interval", 10);
    let timeout = number("timeout", (interval / 2).max(1));
    let (rise, fall) = (number("up_thresh", 20), number("down_thresh", 10));
    let _ = write!(yaml, ", interval: \"{interval}s\"");
    // Ours must be shorter than the interval.
    if timeout < interval {
        let _ = write!(yaml, ", timeout: \"{timeout}s\"");
    } else {
        notes.check(at, format!("`{name}`: a timeout of {timeout} s is not shorter than the interval; half the interval is taken"));
        let _ = write!(yaml, ", timeout: \"{}ms\"", interval * 500);
    }
    let _ = write!(
        yaml,
        ", rise: {}, fall: {}",
        rise.clamp(1, RUN_MAX),
        fall.clamp(1, RUN_MAX)
    );
    if rise > RUN_MAX || fall > RUN_MAX {
        notes.check(
            at,
            format!("`{name}`: thresholds above {RUN_MAX} become {RUN_MAX}"),
        );
    }
    notes.check(at, format!("`{name}`: `fall` counts failures in a row, gdnsd's `down_thresh` ({fall}) all failures without `ok_thresh` successes in a row between them"));
    let default = if yaml.starts_with("http") {
        Some(80)
    } else {
        None
    };
    let port = text("port").and_then(|text| text.parse().ok()).or(default);
    if let Some(port) = port {
        let _ = write!(yaml, ", port: {port}");
    }
    ServiceType::Check { yaml, port }
}

fn http(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::text);
    let mut yaml = format!(
        "http: {{ path: {}",
        yaml::text(text("url_path").unwrap_or("/"))
    );
    if let Some(host) = text("vhost") {
        let _ = write!(yaml, ", host: {}", yaml::text(host));
    }
    let codes = value
        .get("ok_codes")
        .map_or_else(|| vec!["200"], Value::texts);
    // gdnsd takes exactly these, ours would take all of 2xx.
    let _ = write!(yaml, ", expect_status: [{}] }}", quoted(&codes));
    yaml
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

/// The command with `%%ITEM%%` as the address that our checks find in their environment.
fn exec(value: &Value) -> Option<String> {
    let words = value.get("cmd")?.texts();
    let (command, args) = words.split_first()?;
    if !words.iter().any(|word| word.contains("%%ITEM%%")) {
        let args = yaml::list(args);
        return Some(format!(
            "exec: {{ command: {}, args: {args} }}",
            yaml::text(command)
        ));
    }
    let shell: Vec<String> = words.iter().map(|word| for_shell(word)).collect();
    let script = format!("exec {}", shell.join(" "));
    Some(format!(
        "exec: {{ command: /bin/sh, args: [\"-c\", {}] }}",
        yaml::text(&script)
    ))
}

/// A word in single quotes, the magic string as a variable in double ones.
fn for_shell(word: &str) -> String {
    let parts = word.split("%%ITEM%%");
    let quoted: Vec<String> = parts
        .map(|part| match part {
            "" => String::new(),
            part => format!("'{}'", part.replace('\'', "'\\''")),
        })
        .collect();
    quoted.join("\"$ADDRESS\"")
}
