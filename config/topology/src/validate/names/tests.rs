#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn more_than_an_index_counts_is_refused() {
    let source = Source::new("f.yaml", "regions: []\n");
    let mut registry = Registry::<RegionId>::default();
    let mut checker = Checker::default();
    for at in 0..=MAX_INDEXED {
        let id = format!("r{at}").parse().unwrap();
        assert!(registry.declare(&id, &source, Span::START).is_none());
        if at == MAX_INDEXED - 1 {
            registry.freeze();
            checker.countable(&registry, "regions");
            assert!(checker.problems.is_empty());
        }
    }
    registry.freeze();
    checker.countable(&registry, "regions");
    assert_eq!(checker.problems.list()[0].code, Code::TOO_LARGE);
}
