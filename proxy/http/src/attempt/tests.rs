#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use super::*;

const DEFAULT: &[RetryOn] = &[RetryOn::ConnectFailure, RetryOn::Reset, RetryOn::Gateway];
const YES: Sent = Sent::Perhaps { repeatable: true };
const NO: Sent = Sent::Perhaps { repeatable: false };

#[test]
fn only_what_may_be_repeated_is_repeated() {
    let cases: &[(Failure, Sent, &[RetryOn], bool)] = &[
        (Failure::Connect, Sent::Nothing, DEFAULT, true),
        (Failure::ConnectTimeout, Sent::Nothing, DEFAULT, true),
        (Failure::Connect, Sent::Nothing, &[], false),
        (Failure::Closed, YES, DEFAULT, true),
        (Failure::Closed, NO, DEFAULT, false),
        (Failure::Malformed, YES, DEFAULT, true),
        (Failure::Timeout, YES, DEFAULT, false),
        (Failure::Timeout, YES, &[RetryOn::Timeout], true),
        (Failure::Timeout, NO, &[RetryOn::Timeout], false),
        (Failure::Status(503), YES, DEFAULT, true),
        (Failure::Status(503), NO, DEFAULT, false),
        (Failure::Status(500), YES, DEFAULT, false),
        (Failure::Status(500), YES, &[RetryOn::Status5xx], true),
        (Failure::Status(404), YES, &[RetryOn::Status5xx], false),
        (Failure::Local, Sent::Nothing, RetryOn::ALL, false),
    ];
    for (failure, sent, conditions, expected) in cases {
        assert_eq!(
            may_retry(*failure, *sent, conditions),
            *expected,
            "{failure:?} {sent:?} {conditions:?}"
        );
    }
}

#[test]
fn a_slow_client_is_not_held_against_the_endpoint() {
    use PassiveKind::{ConnectFailed, Status5xx, Timeout};
    use Stage::{Answering, Connecting, Uploading, Waiting};
    let cases = [
        (Failure::Timeout, Waiting, Some(Timeout)),
        (Failure::Timeout, Uploading, None),
        (Failure::Timeout, Answering, None),
        (Failure::Closed, Waiting, Some(ConnectFailed)),
        (Failure::Closed, Uploading, None),
        (Failure::Closed, Answering, None),
        (Failure::Malformed, Uploading, Some(ConnectFailed)),
        (Failure::Status(503), Uploading, Some(Status5xx)),
        (Failure::Status(503), Answering, Some(Status5xx)),
        (Failure::Status(404), Answering, None),
        (Failure::Connect, Connecting, Some(ConnectFailed)),
        (Failure::ConnectTimeout, Connecting, Some(Timeout)),
        (Failure::Local, Connecting, None),
    ];
    for (failure, stage, expected) in cases {
        assert_eq!(failure.passive(stage), expected, "{failure:?} {stage:?}");
    }
}

#[test]
fn errors_of_pingora_are_understood() {
    let up = |kind| Error::new_up(kind);
    let cases: Vec<(Box<Error>, Option<Failure>)> = vec![
        (up(ErrorType::ReadTimedout), Some(Failure::Timeout)),
        (up(ErrorType::ConnectionClosed), Some(Failure::Closed)),
        (up(ErrorType::ReadError), Some(Failure::Closed)),
        (up(ErrorType::InvalidHTTPHeader), Some(Failure::Malformed)),
        (up(ErrorType::HTTPStatus(503)), Some(Failure::Status(503))),
        (Error::new_down(ErrorType::ConnectionClosed), None),
        (Error::new_in(ErrorType::InternalError), None),
    ];
    for (error, expected) in cases {
        assert_eq!(Failure::of_exchange(&error), expected, "{error}");
    }
    let connecting = [
        (ErrorType::ConnectRefused, Failure::Connect),
        (ErrorType::ConnectNoRoute, Failure::Connect),
        (ErrorType::TLSHandshakeFailure, Failure::Connect),
        (ErrorType::ConnectTimedout, Failure::ConnectTimeout),
        (ErrorType::InternalError, Failure::Local),
    ];
    for (kind, expected) in connecting {
        assert_eq!(Failure::of_connect(&up(kind.clone())), expected, "{kind:?}");
    }
}

#[test]
fn a_client_is_told_whose_fault_it_was() {
    let cases = [
        (Failure::Connect, 502),
        (Failure::Closed, 502),
        (Failure::Malformed, 502),
        (Failure::ConnectTimeout, 504),
        (Failure::Timeout, 504),
        (Failure::Status(503), 503),
        (Failure::Local, 503),
    ];
    for (failure, status) in cases {
        assert_eq!(failure.status(), status, "{failure:?}");
    }
}
