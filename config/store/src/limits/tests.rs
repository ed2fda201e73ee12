use super::*;

#[test]
fn transactions_are_bounded() {
    let many = |n: usize| (0..n).fold(Txn::new(), |txn, i| txn.put(format!("/k{i}"), "v"));
    let compares = |n: usize| (0..n).fold(Txn::new(), |txn, i| txn.expect_absent(format!("/k{i}")));
    let megabyte = || vec![0; VALUE_BYTES_MAX];
    let cases = [
        ("empty", Txn::new(), "ok"),
        ("full", many(TXN_OPS_MAX), "ok"),
        ("largest value", Txn::new().put("/k", megabyte()), "ok"),
        ("too many writes", many(TXN_OPS_MAX + 1), "129 parts"),
        (
            "too many comparisons",
            compares(TXN_OPS_MAX + 1),
            "129 parts",
        ),
        ("empty key", Txn::new().put("", "v"), "0 bytes"),
        (
            "long key",
            Txn::new().delete(vec![b'k'; KEY_BYTES_MAX + 1]),
            "1025 bytes",
        ),
        (
            "large value",
            Txn::new().put("/k", vec![0; VALUE_BYTES_MAX + 1]),
            "/k",
        ),
        (
            "large sum",
            Txn::new().put("/a", megabyte()).put("/b", megabyte()),
            "transaction",
        ),
        (
            "same key twice",
            Txn::new().put("/k", "a").delete("/k"),
            "/k",
        ),
    ];
    for (name, txn, want) in cases {
        let got = match check_txn(&txn) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(got.contains(want), "{name}: {got}");
    }
}

#[test]
fn lease_times_are_whole_and_bounded() {
    for (wish_ms, granted_s) in [(0, 2), (2_000, 2), (2_001, 3), (999_999_999, 86_400)] {
        let granted = lease_ttl(Duration::from_millis(wish_ms));
        assert_eq!(granted, Duration::from_secs(granted_s), "{wish_ms} ms");
    }
}
