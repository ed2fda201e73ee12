use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_client_has_its_share_and_no_more() {
    let seats = Seats::new(4, 2, Duration::from_secs(10));
    let one = seats.take(address("192.0.2.1")).unwrap();
    let _two = seats.take(address("::ffff:192.0.2.1")).unwrap();
    let refused = |of: &str| seats.take(address(of)).err();
    assert_eq!(refused("192.0.2.1"), Some(NoSeat::Client));
    drop(one);
    let _three = seats.take(address("192.0.2.1")).unwrap();
    let _four = seats.take(address("2001:db8::1")).unwrap();
    let _five = seats.take(address("2001:db8:0:ff::2")).unwrap();
    // The same /56 by now, and anyway all seats are taken.
    assert_eq!(refused("2001:db8:1::1"), Some(NoSeat::Full));
    drop((_four, _five, _three, _two));
    assert!(seats.0.clients().is_empty(), "the table forgets who left");
}

#[test]
fn patience_shrinks_as_seats_fill() {
    let seats = Seats::new(10, 10, Duration::from_secs(10));
    let mut taken = Vec::new();
    let mut last = seats.idle();
    assert_eq!((last, seats.idle_tenths()), (Duration::from_secs(10), 100));
    for count in 1..=10_u32 {
        taken.push(seats.take(address("192.0.2.1")).unwrap());
        let idle = seats.idle();
        if count <= 5 {
            assert_eq!(idle, Duration::from_secs(10));
        } else {
            assert!(idle < last, "{count}: {idle:?}");
        }
        last = idle;
    }
    assert_eq!((last, seats.idle_tenths()), (Duration::from_secs(1), 10));
}

#[tokio::test(start_paused = true)]
async fn who_waits_already_waits_shorter_when_seats_fill() {
    let seats = Seats::new(2, 2, Duration::from_secs(10));
    let start = Instant::now();
    assert!(seats.wait_for(std::future::pending::<()>()).await.is_none());
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    let start = Instant::now();
    let crowd = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        (
            seats.take(address("192.0.2.1")).unwrap(),
            seats.take(address("192.0.2.2")).unwrap(),
        )
    };
    let (waited, _crowd) = tokio::join!(seats.wait_for(std::future::pending::<()>()), crowd);
    assert!(waited.is_none());
    // At the next look, which may be the very moment.
    assert!((3..=4).contains(&start.elapsed().as_secs()));
    assert_eq!(seats.wait_for(std::future::ready(7)).await, Some(7));
}
