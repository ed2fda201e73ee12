//! Topology text: no panic, whatever stands in it; problems can be shown; and
//! what is accepted survives the way a world is replayed, through serde.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use meridian_topology::{SourceFile, Topology};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else {
        return Corpus::Reject;
    };
    let file = SourceFile {
        name: "topology.yaml".to_owned(),
        text: text.to_owned(),
    };
    match Topology::parse(&[file]) {
        Ok(topology) => {
            let json = serde_json::to_string(&topology).expect("plain data serializes");
            let again: Topology = serde_json::from_str(&json).expect("what was written is read");
            assert_eq!(again, topology);
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
    Corpus::Keep
});
