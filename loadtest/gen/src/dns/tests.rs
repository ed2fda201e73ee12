#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    collections::HashSet,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        RData, Record,
        rdata::{A, opt::EdnsCode},
    },
};

use super::*;
use query::{Ask, Question, answered};

#[test]
fn networks_are_distinct_reproducible_and_everywhere() {
    let one = Geography::new(SEED);
    let two = Geography::new(SEED);
    assert!(one.networks().eq(two.networks()));
    assert!(one.networks().is_sorted_by(|a, b| a.prefix < b.prefix));
    for place in &geography::PLACES {
        let here = one.networks().filter(|network| network.place == place);
        assert!(here.count() > one.len() / 20, "{}", place.name);
    }
}

/// A decoder that is not ours finds in the question what was put into it.
#[test]
fn questions_are_well_formed() {
    let geography = Geography::new(SEED);
    let mut question = Question::new(Ask::Geo);
    for (id, at) in [(0, 0), (513, 77), (u16::MAX, geography.len() - 1)] {
        let network = geography.network(at);
        let message = Message::from_vec(question.patched(id, network)).unwrap();
        assert_eq!(message.metadata.id, id);
        assert_eq!(
            message.queries[0].name().to_ascii(),
            format!("{}.", query::NAME)
        );
        let options = message.edns.unwrap().options().clone();
        let subnet = options.get(EdnsCode::Subnet).unwrap();
        let bytes = Vec::<u8>::try_from(subnet).unwrap();
        assert_eq!(bytes, [&[0, 1, 24, 0], &network.prefix[..]].concat());
    }
}

#[test]
fn big_questions_are_of_all_services() {
    let network = Geography::new(SEED).network(0);
    let mut question = Question::new(Ask::Big);
    let names: HashSet<String> = (0..=u16::MAX)
        .map(|id| {
            let message = Message::from_vec(question.patched(id, network)).unwrap();
            message.queries[0].name().to_ascii()
        })
        .collect();
    assert_eq!(names.len(), crate::ours::big::SERVICES);
    assert!(names.contains(&format!("{}.", query::NAME)));
}

#[test]
fn plain_questions_are_well_formed() {
    let network = Geography::new(SEED).network(0);
    let mut question = Question::new(Ask::Plain);
    let message = Message::from_vec(question.patched(9, network)).unwrap();
    assert_eq!(message.metadata.id, 9);
    let name = message.queries[0].name().to_ascii();
    assert_eq!(name, format!("{}.", query::PLAIN_NAME));
    assert!(message.edns.is_none());
}

#[test]
fn only_successes_with_answers_count() {
    let reply = |flags: [u8; 2], answers: u8| {
        let mut bytes = vec![1, 2, flags[0], flags[1], 0, 1, 0, answers, 0, 0, 0, 0];
        bytes.extend([0; 20]);
        bytes
    };
    let cases = [
        (reply([0x84, 0], 1), Some(0x0102)),
        (reply([0x84, 0], 0), None),
        (reply([0x84, 3], 1), None),
        (reply([0x04, 0], 1), None),
        (vec![1, 2, 0x84], None),
    ];
    for (bytes, want) in cases {
        assert_eq!(answered(&bytes), want, "{bytes:?}");
    }
}

/// A server of a few lines that answers by the map, or not at all.
struct Answerer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Answerer {
    fn start(answer: fn(Message) -> Option<Message>) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut bytes = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else {
                    continue;
                };
                let message = Message::from_vec(&bytes[..length]).unwrap();
                if let Some(reply) = answer(message) {
                    socket.send_to(&reply.to_vec().unwrap(), from).unwrap();
                }
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn one_address(question: Message) -> Option<Message> {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    let name = question.queries[0].name().clone();
    let data = RData::A(A::new(192, 0, 2, 1));
    reply.answers.push(Record::from_rdata(name, 60, data));
    reply.queries = question.queries;
    Some(reply)
}

#[test]
fn loads_count_answers() {
    let server = Answerer::start(one_address);
    let time = Duration::from_millis(300);
    let flood = load::flood(server.address, Ask::Geo, time, SEED).unwrap();
    assert!(flood.answers > 0, "{flood:?}");
    let paced = load::pace(server.address, Ask::Geo, time, 500, SEED).unwrap();
    assert_eq!(paced.questions, 150);
    assert!(paced.answers > 0 && paced.answers <= 150, "{paced:?}");
    assert!(
        paced.p50_us > 0.0 && paced.p50_us <= paced.p99_us && paced.p99_us <= paced.max_us * 1.01
    );
    let network = Geography::new(SEED).network(0);
    let answer = query::ask(server.address, Ask::Geo, 7, network).unwrap();
    assert_eq!(answer, std::net::Ipv4Addr::new(192, 0, 2, 1));
}

#[test]
fn silent_and_refusing_servers_count_for_nothing() {
    let time = Duration::from_millis(200);
    let silent = Answerer::start(|_| None);
    let flood = load::flood(silent.address, Ask::Geo, time, SEED).unwrap();
    assert_eq!(flood.answers, 0);
    assert!(flood.lost > 0, "{flood:?}");

    let refusing = Answerer::start(|question| {
        let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
        reply.metadata.response_code = ResponseCode::Refused;
        Some(reply)
    });
    let paced = load::pace(refusing.address, Ask::Geo, time, 500, SEED).unwrap();
    assert_eq!((paced.questions, paced.answers), (100, 0));
    let error = query::ask(
        refusing.address,
        Ask::Geo,
        7,
        Geography::new(SEED).network(0),
    )
    .unwrap_err();
    assert!(error.to_lowercase().contains("refused"), "{error}");
}

/// Every peer that is installed knows the map and survives a short load.
#[test]
fn installed_peers_answer_by_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let geography = Geography::new(SEED);
    for name in PEERS {
        match start(name, folder.path(), &geography) {
            Ok(subject) => {
                let time = Duration::from_millis(200);
                let flood = load::flood(subject.address, loads(name)[0].0, time, SEED).unwrap();
                assert!(flood.answers > 0, "{name}: {flood:?}");
                assert!(subject.process.cpu() > Duration::ZERO, "{name}");
            }
            Err(GenError::Missing { program, package }) => {
                println!("SKIP: {program} is not installed (Debian: {package})");
            }
            Err(error) => unreachable!("{name}: {error}"),
        }
    }
}
