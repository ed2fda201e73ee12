//! Policy text against the demo's topology: no panic, problems can be shown,
//! and a policy that is accepted compiles to a plan that answers.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::{Corpus, fuzz_target};
use meridian_engine::{
    ClassId, ClassTable, ClientKey, HealthBits, Policy, PolicySet, World, compile,
};
use meridian_topology::{ServiceIdx, SourceFile, Topology};

const TOPOLOGY: &str = include_str!("../../config/examples/demo/topology.yaml");

static DEMO: LazyLock<Arc<Topology>> = LazyLock::new(|| {
    let file = SourceFile {
        name: "topology.yaml".to_owned(),
        text: TOPOLOGY.to_owned(),
    };
    Arc::new(Topology::parse(&[file]).expect("the demo's topology is valid"))
});

/// The demo's topology without services: no policy is missing then.
static BARE: LazyLock<Topology> = LazyLock::new(|| {
    let mut topology = Topology::clone(&DEMO);
    topology.services.clear();
    topology
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else {
        return Corpus::Reject;
    };
    let file = SourceFile {
        name: "policies/fuzz.yaml".to_owned(),
        text: text.to_owned(),
    };
    match PolicySet::parse(&[file], &BARE) {
        Ok(set) => set.policies().first().into_iter().for_each(decide),
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
    Corpus::Keep
});

/// Every service of the demo under this policy.
fn decide(policy: &Policy) {
    let under = |service: &meridian_topology::Service| {
        let mut policy = policy.clone();
        policy.id = service.policy.clone();
        policy
    };
    let policies = PolicySet::new(DEMO.services.iter().map(under));
    let world = World::new(
        Arc::clone(&DEMO),
        Arc::new(policies),
        Arc::new(ClassTable::unknown()),
    );
    let plan = compile(&world);
    let bits = HealthBits::new(&plan, &world);
    for service in 0..DEMO.services.len() {
        let service = ServiceIdx::from_index(service).expect("the demo has few services");
        if let Some(pick) = plan.pick(service, ClassId(0), ClientKey(7), &bits) {
            assert!(
                plan.candidates(service, ClassId(0))
                    .any(|one| one == pick.endpoint)
            );
        }
    }
}
