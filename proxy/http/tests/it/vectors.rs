//! The room's tables of raw bytes: where HTTP/1.1 messages end, and who hears of them.
//!
//! `requests` is what clients send, `answers` what upstreams say. A row's name begins with the section of
//! RFC 9112 that decides it (`9110` where it is that RFC's), and the row says what the RFC demands. It is run on both
//! lanes; where pingora may differ, or does, the row says so with `pingora`.

mod answers;
mod requests;

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

#[tokio::test]
async fn requests_end_where_they_say() {
    let rows = requests::rows().into_iter();
    hold(rows.map(|row| (row.name, requests::check(row)))).await;
}

#[tokio::test]
async fn answers_end_where_they_say_or_are_not_passed_on() {
    let rows = answers::rows().into_iter();
    hold(rows.map(|row| (row.name, answers::check(row)))).await;
}

/// Checks one row after the other, and fails once with all that did not hold.
pub async fn hold<C: Future<Output = ()>>(rows: impl Iterator<Item = (&'static str, C)>) {
    let mut count = 0;
    let mut failures = Vec::new();
    for (name, check) in rows {
        count += 1;
        if let Err(panic) = AssertUnwindSafe(check).catch_unwind().await {
            failures.push(format!("{name}: {}", message(&*panic)));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {count} rows do not hold:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
