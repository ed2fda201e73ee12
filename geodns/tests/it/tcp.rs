//! Streams.

use std::io::{Read, Write};
use std::num::NonZeroUsize;

use hickory_proto::rr::RecordType;
use meridian_topology::Millis;

use crate::rig::{Rig, answers, query, receive_tcp, send_tcp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_queries_are_answered_in_order() {
    let rig = Rig::start(|_| ());
    let mut stream = rig.tcp();
    for id in 0..200 {
        send_tcp(
            &mut stream,
            &query(id, "shop.example.test.", RecordType::A, Some("10.3.0.0/24")),
        );
    }
    for id in 0..200 {
        let message = receive_tcp(&mut stream).unwrap();
        assert_eq!(
            (message.metadata.id, answers(&message)),
            (id, vec!["203.0.113.1".to_owned()])
        );
    }
    assert_eq!(
        rig.metric("meridian_dns_connections{transport=\"tcp\"}"),
        1.0
    );
    assert_eq!(
        rig.metric("meridian_dns_queries_total{transport=\"tcp\"}"),
        200.0
    );
    rig.stop().await;
    assert!(
        receive_tcp(&mut stream).is_none(),
        "the connection outlived the server"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_may_come_in_pieces() {
    let rig = Rig::start(|_| ());
    let mut stream = rig.tcp();
    let packet = query(9, "www.example.test.", RecordType::A, None);
    let framed = [
        &u16::try_from(packet.len()).unwrap().to_be_bytes()[..],
        &packet,
    ]
    .concat();
    for byte in framed {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(answers(&receive_tcp(&mut stream).unwrap()).len(), 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_does_not_wait_for_the_rest_of_the_next_query() {
    // Longer than the client's patience: only a flush of its own brings the first answer.
    let rig = Rig::start(|config| config.tcp.idle_timeout = Millis(300_000));
    let mut stream = rig.tcp();
    let packet = query(9, "www.example.test.", RecordType::A, None);
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    let framed = [&length[..], &packet].concat();
    for cut in [1, 2, framed.len() - 1] {
        let (start, rest) = framed.split_at(cut);
        stream.write_all(&[&framed[..], start].concat()).unwrap();
        assert_eq!(answers(&receive_tcp(&mut stream).unwrap()).len(), 2);
        stream.write_all(rest).unwrap();
        assert_eq!(answers(&receive_tcp(&mut stream).unwrap()).len(), 2);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_close_connections() {
    let rig = Rig::start(|config| {
        config.tcp.connections = 2;
        config.tcp.queries_per_connection = NonZeroUsize::new(3).unwrap();
        config.tcp.idle_timeout = Millis(300);
    });
    let packet = query(1, "www.example.test.", RecordType::A, None);
    let mut busy = rig.tcp();
    for _ in 0..3 {
        send_tcp(&mut busy, &packet);
        assert!(receive_tcp(&mut busy).is_some());
    }
    assert!(
        receive_tcp(&mut busy).is_none(),
        "a fourth query is one too many"
    );

    let mut long = rig.tcp();
    long.write_all(&[0xff, 0xff, 0, 0]).unwrap();
    assert!(receive_tcp(&mut long).is_none(), "a query of 65,535 bytes");

    let mut silent = rig.tcp();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0, "closed for silence");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let rig = Rig::start(|config| {
        config.tcp.connections = 1;
        // A full house divides the patience by ten.
        config.tcp.idle_timeout = Millis(300_000);
    });
    let packet = query(1, "www.example.test.", RecordType::A, None);
    let mut first = rig.tcp();
    send_tcp(&mut first, &packet);
    assert!(receive_tcp(&mut first).is_some());
    let mut second = rig.tcp();
    assert!(receive_tcp(&mut second).is_none());
    assert_eq!(
        rig.metric("meridian_dns_connections_refused_total{reason=\"full\",transport=\"tcp\"}"),
        1.0
    );
    send_tcp(&mut first, &packet);
    assert!(
        receive_tcp(&mut first).is_some(),
        "the first is still served"
    );
    rig.stop().await;
}
