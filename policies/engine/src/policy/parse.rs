//! From files to a set: reading each, then what concerns several of them.

use std::collections::BTreeMap;

use meridian_topology::door::{self, Code, Mistake, Source, Span, suggest};
use meridian_topology::{PolicyId, Problems, SourceFile, Topology};

use super::raw::RawPolicy;
use super::validate::Validator;
use super::{Policy, PolicySet};

impl PolicySet {
    /// Reads policy files against the topology they are for. Problems of all files are reported
    /// together, and so are services whose policy no file defines.
    pub fn parse(files: &[SourceFile], topology: &Topology) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let mut found: BTreeMap<PolicyId, (Policy, Source, Span)> = BTreeMap::new();
        let mut validator = Validator::new(topology);
        for file in files {
            let parsed = match door::parse::<RawPolicy>(&file.name, &file.text) {
                Ok(parsed) => parsed,
                Err(broken) => {
                    problems.append(broken);
                    continue;
                }
            };
            let span = parsed.value.policy.span;
            let policy = validator.policy(&parsed.value, &parsed.source, &mut problems);
            let Some(policy) = policy else { continue };
            if let Some((_, first, first_span)) = found.get(&policy.id) {
                let mistake = Mistake::new(format!("there are two policies `{}`", policy.id))
                    .help("rename one of them");
                problems.report_related(
                    (&parsed.source, span),
                    Code::DUPLICATE_ID,
                    mistake,
                    (first, *first_span, "first defined at"),
                );
            } else {
                found.insert(policy.id.clone(), (policy, parsed.source, span));
            }
        }
        // A file that could not be read may hold the missing policy: one report is enough.
        if problems.is_empty() {
            report_missing(topology, &found, &mut problems);
        }
        problems.unless_any(|| Self::new(found.into_values().map(|(policy, ..)| policy)))
    }
}

fn report_missing<T>(topology: &Topology, found: &BTreeMap<PolicyId, T>, problems: &mut Problems) {
    let source = Source::new("policies", "");
    for service in &topology.services {
        if found.contains_key(&service.policy) {
            continue;
        }
        let mistake = Mistake::new(format!(
            "service `{}` names the policy `{}`, which no file defines",
            service.id, service.policy
        ));
        let names = found.keys().map(PolicyId::as_str);
        let mistake = match suggest::closest(service.policy.as_str(), names) {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => mistake.help(format!("add a file with `policy: {}`", service.policy)),
        };
        problems.report(&source, Span::UNKNOWN, Code::UNKNOWN_REFERENCE, mistake);
    }
}
