use super::{BusyPollConfig, XdpConfig};

fn check(configure: impl FnOnce(&mut XdpConfig), listen: &[&str]) -> Result<Vec<String>, String> {
    let mut config = XdpConfig {
        interfaces: vec!["eth0".to_owned()],
        ..XdpConfig::default()
    };
    configure(&mut config);
    let listen: Vec<_> = listen.iter().map(|text| text.parse().unwrap()).collect();
    match config.validate(&listen) {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(settings)) => {
            let targets = settings.targets(&listen);
            Ok(targets.iter().map(ToString::to_string).collect())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn targets_are_what_is_listened_on() {
    let addresses = |of: &'static [&'static str]| {
        move |config: &mut XdpConfig| {
            config.addresses = of.iter().map(|text| text.parse().unwrap()).collect();
        }
    };
    let listen = &[
        "127.0.0.1:53",
        "192.0.2.53:53",
        "[2001:db8::53]:53",
        "192.0.2.53:5353",
    ];
    assert_eq!(
        check(|_| (), listen),
        Ok(vec![
            "192.0.2.53:53".to_owned(),
            "192.0.2.53:5353".to_owned(),
            "[2001:db8::53]:53".to_owned(),
        ])
    );
    assert_eq!(
        check(addresses(&["2001:db8::53"]), listen),
        Ok(vec!["[2001:db8::53]:53".to_owned()])
    );
    assert_eq!(
        check(
            addresses(&["192.0.2.1", "192.0.2.2"]),
            &["0.0.0.0:53", "[::1]:5353"]
        ),
        Ok(vec!["192.0.2.1:53".to_owned(), "192.0.2.2:53".to_owned()])
    );
    assert_eq!(
        check(|config| config.interfaces.clear(), &["0.0.0.0:53"]),
        Ok(vec![])
    );
}

#[test]
fn what_is_wrong_is_said_with_its_key() {
    type Configure = fn(&mut XdpConfig);
    let cases: [(Configure, &[&str], &str); 13] = [
        (
            |_| (),
            &["0.0.0.0:53"],
            "name the addresses to answer for in `xdp.addresses`",
        ),
        (
            |_| (),
            &["127.0.0.1:53"],
            "`listen` names no address besides loopback",
        ),
        (
            |config| config.addresses = vec!["192.0.2.9".parse().unwrap()],
            &["192.0.2.53:53", "[::]:53"],
            "`xdp.addresses` has 192.0.2.9, which `listen` has not",
        ),
        (
            |config| config.addresses = vec!["0.0.0.0".parse().unwrap()],
            &["0.0.0.0:53"],
            "`xdp.addresses` has 0.0.0.0",
        ),
        (
            |config| config.addresses = vec!["192.0.2.53".parse().unwrap(); 2],
            &["192.0.2.53:53"],
            "`xdp.addresses` names 192.0.2.53 twice",
        ),
        (
            |config| config.interfaces = vec!["a".repeat(16)],
            &["192.0.2.53:53"],
            "1 to 15 bytes",
        ),
        (
            |config| config.interfaces = vec!["../x".to_owned()],
            &["192.0.2.53:53"],
            "no `/`",
        ),
        (
            |config| config.interfaces = vec!["e".to_owned(); 2],
            &["192.0.2.53:53"],
            "names e twice",
        ),
        (
            |config| config.interfaces = (0..17).map(|at| format!("e{at}")).collect(),
            &["192.0.2.53:53"],
            "`xdp.interfaces` has 17 entries, at most 16",
        ),
        (
            |config| config.frames = 1000,
            &["192.0.2.53:53"],
            "`xdp.frames` is 1000",
        ),
        (
            |config| config.queues = Some(vec![256]),
            &["192.0.2.53:53"],
            "`xdp.queues` is 256",
        ),
        (
            |config| {
                config.busy_poll = Some(BusyPollConfig {
                    micros: 0,
                    budget: 64,
                });
            },
            &["192.0.2.53:53"],
            "`xdp.busy_poll.micros` is 0",
        ),
        (
            |config| {
                config.busy_poll = Some(BusyPollConfig {
                    micros: 20,
                    budget: 4096,
                });
            },
            &["192.0.2.53:53"],
            "`xdp.busy_poll.budget` is 4096",
        ),
    ];
    for (configure, listen, part) in cases {
        let error = check(configure, listen).unwrap_err();
        assert!(error.contains(part), "no `{part}` in: {error}");
    }
}
