#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use super::*;
use crate::tests::list;

#[test]
fn every_source_speaks_for_itself_and_the_last_is_right() {
    let text = "regions:
  - id: tokyo
    location: { country: JP, latitude: 35.7, longitude: 139.7, provider: gcp }
client_groups:
  - { id: office, cidrs: [193.0.6.0/25], country: FR }
  - { id: desk, cidrs: [193.0.6.8/29] }
";
    let topology =
        Topology::parse(&[meridian_topology::SourceFile::new("topology.yaml", text)]).unwrap();
    let (_keep, clouds) = list("clouds.csv", "193.0.0.0/16,gcp,tokyo\n193.0.6.0/24,own\n");
    let (_keep_too, measured) = list("measured.csv", "193.0.6.0/26,1,2\n");
    let sources = Sources {
        providers: vec![clouds],
        overrides: vec![measured],
        ..Sources::default()
    };
    let witnesses = Witnesses::open(&topology, &sources).unwrap();
    let table = crate::build(&topology, &sources).unwrap();
    for (address, want) in [
        (
            "193.0.6.9",
            &[
                "registry",
                "providers 193.0.6.0/24",
                "overrides 193.0.6.0/26",
                "group 193.0.6.8/29",
            ][..],
        ),
        (
            "193.0.6.1",
            &[
                "registry",
                "providers 193.0.6.0/24",
                "overrides 193.0.6.0/26",
                "group 193.0.6.0/25",
            ],
        ),
        ("193.0.7.1", &["registry", "providers 193.0.0.0/16"]),
        ("8.8.8.8", &["registry"]),
        ("127.0.0.1", &[]),
    ] {
        let address = address.parse().unwrap();
        let said = witnesses.ask(address).unwrap();
        let heard: Vec<String> = said
            .iter()
            .map(|said| match said.prefix {
                Some(prefix) => format!("{} {prefix}", said.source),
                None => said.source.to_owned(),
            })
            .collect();
        assert_eq!(heard, want, "{address}");
        // Laid over each other, the words make the table's class.
        let class = said.iter().fold(ClientClass::default(), |below, said| {
            let says = said.says.clone();
            ClassPatch {
                country: says.country,
                location: says.location,
                asn: says.asn,
                provider: says.provider,
                region: says.region,
                group: says.group,
            }
            .apply(&below)
        });
        assert_eq!(class, known(&table, address), "{address}");
    }
}
