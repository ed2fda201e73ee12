use super::*;

#[test]
fn everybody_has_a_turn_a_round_and_nobody_is_always_first() {
    let mut order = String::new();
    let mut subjects = ['a', 'b', 'c'];
    interleave(Effort::Quick, &mut subjects, |subject, samples| {
        order.push(*subject);
        samples.add(&subject.to_string(), "m", 1.0);
        Ok(())
    })
    .expect("nothing fails");
    assert_eq!(order, "abcbcacab");
}

#[test]
fn unknown_peers_are_named() {
    let known = ["gdnsd", "knot"];
    let all = subjects(&known, None).expect("all are known");
    assert_eq!(all, ["meridian", "gdnsd", "knot"]);
    let one = subjects(&known, Some(&["knot".to_owned()])).expect("knot is known");
    assert_eq!(one, ["meridian", "knot"]);
    let error = subjects(&known, Some(&["bind".to_owned()])).expect_err("bind is not");
    assert_eq!(
        error.to_string(),
        "there is no peer `bind`; there are gdnsd, knot"
    );
}
