#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use std::sync::mpsc;
use std::time::Duration;

use axum::response::IntoResponse;

use super::Work;

#[tokio::test]
async fn work_beyond_the_places_is_told_to_come_again() {
    let work = Work::bounded(1, Duration::from_millis(10));
    let (finish, finished) = mpsc::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let long = tokio::spawn({
        let work = work.clone();
        async move {
            let done = work.run(move || {
                begin.send(()).unwrap();
                // Until the test lets go.
                let _let_go = finished.recv();
                Ok(())
            });
            done.await
        }
    });
    begun.await.unwrap();
    // Nobody waits any more, and the place is taken all the same.
    long.abort();
    let refused = work.json(|| Ok(1)).await.unwrap_err().into_response();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");

    finish.send(()).unwrap();
    let patient = Work {
        patience: Duration::from_secs(60),
        ..work
    };
    assert_eq!(patient.json(|| Ok(1)).await.unwrap().status(), 200);
}
