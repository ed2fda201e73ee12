//! Keys that change under a running node.

use meridian_telemetry::Metrics;

use super::super::config::{DnssecConfig, DnssecSettings, ZoneSigningConfig};
use super::super::desk::{DeskError, KeyDesk};
use super::super::key::KeyRole;
use super::super::lifecycle::Patience;
use super::super::signing::{Look, Signing};
use super::super::store::StoreError;
use super::{NOW, wire};

fn settings(folder: &std::path::Path) -> DnssecSettings {
    let config = DnssecConfig {
        keys: folder.into(),
        zones: [("a.test".to_owned(), ZoneSigningConfig::default())].into(),
        ..DnssecConfig::default()
    };
    config.validate().unwrap()
}

#[test]
fn a_start_needs_keys_and_says_how_to_make_them() {
    let folder = tempfile::tempdir().unwrap();
    let error = Signing::load(settings(folder.path()), &Metrics::new()).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("meridian dns keys generate a.test."),
        "{said}"
    );
}

#[test]
fn a_running_node_follows_its_keys_and_keeps_the_last_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let desk = KeyDesk::of(&settings, "a.test").unwrap();
    desk.generate(&[KeyRole::Csk], 1).unwrap();
    let metrics = Metrics::new();
    let signing = Signing::load(settings.clone(), &metrics).unwrap();
    let problems = || {
        let text = metrics.render().unwrap();
        text.contains("\nmeridian_dns_dnssec_key_problems 1")
    };
    let apex = wire("a.test.");
    assert_eq!(signing.look(NOW), Look::Fine);
    desk.roll(None, 2).unwrap();
    assert_eq!(signing.look(NOW), Look::Due);
    assert_eq!(signing.look(NOW), Look::Fine);

    let facts = settings.folder.facts_file("a.test");
    let good = std::fs::read(&facts).unwrap();
    std::fs::write(&facts, "{ rubbish").unwrap();
    signing.look(NOW);
    assert!(signing.signs(&apex) && problems());
    std::fs::remove_file(&facts).unwrap();
    signing.look(NOW);
    assert!(signing.signs(&apex) && problems());
    std::fs::write(&facts, good).unwrap();
    assert_eq!(signing.look(NOW), Look::Due);
    assert!(signing.signs(&apex) && !problems());

    desk.unsign(3).unwrap();
    desk.ds_gone(4).unwrap();
    desk.finish_unsigning(Patience::Skip, 5).unwrap();
    assert_eq!(signing.look(NOW), Look::Due);
    assert!(!signing.signs(&apex) && !problems());
}

#[test]
fn two_commands_on_one_zone_do_not_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let desk = KeyDesk::of(&settings, "a.test").unwrap();
    desk.generate(&[KeyRole::Csk], 1).unwrap();
    let facts = settings.folder.facts_file("a.test");
    let before = std::fs::read(&facts).unwrap();

    let other = settings.folder.lock("a.test.").unwrap();
    let refused = desk.roll(None, 2).unwrap_err();
    assert!(
        matches!(&refused, DeskError::Store(StoreError::Busy { zone, .. }) if zone == "a.test"),
        "{refused}"
    );
    assert!(refused.to_string().contains(".lock"), "{refused}");
    assert_eq!(std::fs::read(&facts).unwrap(), before);
    // Looking needs no lock, and neither does another zone.
    assert_eq!(desk.list().unwrap().keys.len(), 1);
    drop(settings.folder.lock("b.test").unwrap());

    drop(other);
    desk.roll(None, 3).unwrap();
    assert_eq!(desk.list().unwrap().keys.len(), 2);
}
