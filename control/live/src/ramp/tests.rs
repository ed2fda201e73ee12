use super::*;

fn failback() -> Failback {
    let steps = [0.05, 0.25, 0.5, 1.0]
        .map(|share| Ratio::new(share).unwrap())
        .to_vec();
    Failback {
        hold: Duration::from_secs(10),
        steps,
    }
}

#[test]
fn a_region_climbs_step_by_step() {
    let start = Instant::now();
    let mut ramp = Ramp::Whole.observe(false, start).observe(true, start);
    for (second, share) in [
        (0, 0.0),
        (9, 0.0),
        (10, 0.05),
        (19, 0.05),
        (20, 0.25),
        (30, 0.5),
        (40, 1.0),
        (500, 1.0),
    ] {
        let (next, got) = ramp.share(&failback(), start + Duration::from_secs(second));
        assert_eq!(got, Ratio::new(share).unwrap(), "at {second} s");
        ramp = next;
    }
    assert_eq!(ramp, Ramp::Whole);
}

#[test]
fn dying_again_starts_over_and_never_leaving_costs_nothing() {
    let start = Instant::now();
    let later = start + Duration::from_secs(60);
    assert_eq!(Ramp::Whole.observe(true, later), Ramp::Whole);
    let again = Ramp::Returning(start)
        .observe(false, later)
        .observe(true, later);
    assert_eq!(again, Ramp::Returning(later));
    assert_eq!(again.share(&failback(), later).1, Ratio::ZERO);
}

#[test]
fn an_empty_ramp_is_whole_after_the_hold() {
    let start = Instant::now();
    let failback = Failback {
        hold: Duration::ZERO,
        steps: Vec::new(),
    };
    assert_eq!(
        Ramp::Returning(start).share(&failback, start),
        (Ramp::Whole, Ratio::ONE)
    );
}
