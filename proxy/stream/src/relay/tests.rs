#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

const IDLE: Duration = Duration::from_secs(60);

struct Running {
    client: DuplexStream,
    upstream: DuplexStream,
    cut: CancellationToken,
    relay: JoinHandle<(End, Flow)>,
}

fn start() -> Running {
    let (client, near) = duplex(1024);
    let (upstream, far) = duplex(1024);
    let cut = CancellationToken::new();
    let token = cut.clone();
    let relay = tokio::spawn(async move {
        let flow = Flow::default();
        let end = relay(near, far, &flow, Instant::now(), IDLE, &token).await;
        (end, flow)
    });
    Running {
        client,
        upstream,
        cut,
        relay,
    }
}

#[tokio::test(start_paused = true)]
async fn each_direction_ends_by_itself() {
    let Running {
        mut client,
        mut upstream,
        relay,
        ..
    } = start();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = String::new();
    upstream.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "question");

    // The client has finished; the answer still gets through.
    upstream.write_all(b"long answer").await.unwrap();
    upstream.shutdown().await.unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "long answer");

    let (end, flow) = relay.await.unwrap();
    assert_eq!(end, End::Finished);
    assert_eq!((flow.bytes_in(), flow.bytes_out()), (8, 11));
    assert!(flow.first_byte_us().is_some());
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_and_any_byte_keeps_it() {
    let Running {
        mut client,
        mut upstream,
        relay,
        ..
    } = start();
    let mut byte = [0; 1];
    for _ in 0..3 {
        tokio::time::sleep(IDLE * 9 / 10).await;
        upstream.write_all(b".").await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
    }
    assert!(!relay.is_finished());
    let silent = tokio::time::Instant::now();
    let (end, flow) = relay.await.unwrap();
    assert_eq!(end, End::Idle);
    assert_eq!((flow.bytes_in(), flow.bytes_out()), (0, 3));
    let waited = silent.elapsed();
    assert!(waited >= IDLE && waited <= IDLE * 3 / 2, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_it_at_once() {
    // Both ends stay open: what `..` leaves out would be dropped here, and the
    // relay would finish by itself.
    let Running {
        client: _client,
        upstream: _upstream,
        relay,
        cut,
    } = start();
    cut.cancel();
    assert_eq!(relay.await.unwrap().0, End::Cut);
}

#[tokio::test(start_paused = true)]
async fn the_side_that_broke_is_named() {
    let Running {
        client,
        mut upstream,
        relay,
        ..
    } = start();
    drop(client);
    // Writing to a client that is gone breaks its side.
    upstream.write_all(b"anybody?").await.unwrap();
    assert_eq!(relay.await.unwrap().0, End::ClientBroke);

    let Running {
        mut client,
        upstream,
        relay,
        ..
    } = start();
    drop(upstream);
    client.write_all(b"anybody?").await.unwrap();
    assert_eq!(relay.await.unwrap().0, End::UpstreamBroke);
}
