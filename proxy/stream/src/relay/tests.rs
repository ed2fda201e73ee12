#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// Longer than anything a test waits for.
const LONG: Duration = Duration::from_secs(60);

struct Running {
    client: TcpStream,
    upstream: TcpStream,
    cut: CancellationToken,
    relay: JoinHandle<(End, Flow)>,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

async fn start(idle: Duration) -> Running {
    let ((client, near), (upstream, far)) = (pair().await, pair().await);
    let cut = CancellationToken::new();
    let token = cut.clone();
    let relay = tokio::spawn(async move {
        let (flow, head) = (Flow::default(), Bytes::new());
        let end = relay(head, near, far, &flow, Instant::now(), idle, &token).await;
        (end, flow)
    });
    Running {
        client,
        upstream,
        cut,
        relay,
    }
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let Running {
        mut client,
        mut upstream,
        relay,
        ..
    } = start(LONG).await;
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

/// Far more than any buffer holds, both ways at once, in bursts of every size: copied, spliced and
/// copied again, and every byte is where it belongs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_arrives_as_it_was_sent() {
    const BYTES: usize = 24 << 20;
    let Running {
        client,
        upstream,
        relay,
        ..
    } = start(LONG).await;
    let ends = [(client, 1_usize), (upstream, 3)].map(|(end, step)| {
        let (mut read, mut write) = end.into_split();
        let writer = tokio::spawn(async move {
            let (mut at, mut burst) = (0, 1);
            while at < BYTES {
                let count = burst.min(BYTES - at);
                let bytes: Vec<u8> = (at..at + count).map(|at| (at / 251 * step) as u8).collect();
                write.write_all(&bytes).await.unwrap();
                at += count;
                burst = if burst > 4 << 20 { 1 } else { burst * 3 };
            }
            write.shutdown().await.unwrap();
            write
        });
        let reader = tokio::spawn(async move {
            let mut all = Vec::with_capacity(BYTES);
            read.read_to_end(&mut all).await.unwrap();
            all
        });
        (writer, reader, step)
    });
    let mut steps = [3, 1].into_iter();
    for (writer, reader, _) in ends {
        let all = reader.await.unwrap();
        let step: usize = steps.next().unwrap();
        assert_eq!(all.len(), BYTES);
        let wrong = (0..BYTES).find(|at| all[*at] != (at / 251 * step) as u8);
        assert_eq!(wrong, None);
        drop(writer.await.unwrap());
    }
    let (end, flow) = relay.await.unwrap();
    assert_eq!(end, End::Finished);
    assert_eq!(
        (flow.bytes_in(), flow.bytes_out()),
        (BYTES as u64, BYTES as u64)
    );
}

/// A bulk direction whose sink goes away in the middle takes nothing of its pipe to the next connection.
#[tokio::test]
async fn a_broken_bulk_leaves_nothing_behind() {
    for _ in 0..3 {
        let Running {
            mut client,
            mut upstream,
            relay,
            ..
        } = start(LONG).await;
        let writer =
            tokio::spawn(async move { while upstream.write_all(&[1; 1 << 20]).await.is_ok() {} });
        let mut some = vec![0; 4 << 20];
        client.read_exact(&mut some).await.unwrap();
        drop(client);
        writer.await.unwrap();
        assert_eq!(relay.await.unwrap().0, End::ClientBroke);
    }
    let Running {
        mut client,
        mut upstream,
        ..
    } = start(LONG).await;
    tokio::spawn(async move { upstream.write_all(&[2; 4 << 20]).await });
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert!(all.len() == 4 << 20 && all.iter().all(|byte| *byte == 2));
}

#[tokio::test]
async fn silence_ends_it_and_any_byte_keeps_it() {
    let idle = Duration::from_millis(400);
    let Running {
        mut client,
        mut upstream,
        relay,
        ..
    } = start(idle).await;
    let mut byte = [0; 1];
    for _ in 0..3 {
        tokio::time::sleep(idle / 4).await;
        upstream.write_all(b".").await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
    }
    let silent = Instant::now();
    let (end, flow) = relay.await.unwrap();
    assert_eq!(end, End::Idle);
    assert_eq!((flow.bytes_in(), flow.bytes_out()), (0, 3));
    // A look at the counters may come right before the last byte.
    assert!(silent.elapsed() >= idle * 3 / 4);
}

#[tokio::test]
async fn a_cut_ends_it_at_once() {
    // Both ends stay open: what `..` leaves out would be dropped here, and the
    // relay would finish by itself.
    let Running {
        client: _client,
        upstream: _upstream,
        relay,
        cut,
    } = start(LONG).await;
    cut.cancel();
    assert_eq!(relay.await.unwrap().0, End::Cut);
}

#[tokio::test]
async fn the_side_that_broke_is_named() {
    let Running {
        client,
        mut upstream,
        relay,
        ..
    } = start(LONG).await;
    drop(client);
    // Writing to a client that is gone breaks its side.
    while upstream.write_all(b"anybody?").await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.await.unwrap().0, End::ClientBroke);

    let Running {
        mut client,
        upstream,
        relay,
        ..
    } = start(LONG).await;
    drop(upstream);
    while client.write_all(b"anybody?").await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.await.unwrap().0, End::UpstreamBroke);
}
