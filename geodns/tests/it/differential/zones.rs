//! Zones made by chance: every kind of record and every shape that lookups stumble over.
//!
//! Left out because NSD or Knot refuse to load it: data below a DNAME, several CNAMEs or DNAMEs at a
//! name. Left out because no standard says what it means: NS and DNAME at a wildcard (RFC 4592 §4.2,
//! §4.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::chance::Chance;
use crate::presigned::{self, Denies};

/// Labels of owners; the last ones are odd on purpose.
const LABELS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "e",
    "www",
    "mail",
    "x-y",
    "_tcp",
    "0",
    "UPPER",
    "a\\.b",
    "sp\\032ace",
    "\\000z",
    "\\200",
    "xn--bcher-kva",
];

/// Types with data that says nothing to a lookup.
const OTHER: &[(&str, &str)] = &[
    ("TXT", "\"one\" \"two ; three\""),
    ("TXT", "\"\\\"quoted\\\" \\\\ \\195\\164\""),
    ("CAA", "0 issue \"ca.example.net\""),
    ("HINFO", "\"PC\" \"OS\""),
    ("RP", "admin.test. txt.test."),
    ("AFSDB", "1 afs.test."),
    ("NAPTR", "100 50 \"s\" \"http+N2R\" \"\" _http._tcp.test."),
    (
        "SSHFP",
        "4 2 123456789ABCDEF67890123456789ABCDEF67890123456789ABCDEF123456789",
    ),
    (
        "TLSA",
        "3 1 1 D2ABDE240D7CD3EE6B4B28C54DF034B97983A1D16E8A410E4561CB106618E971",
    ),
    (
        "LOC",
        "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m",
    ),
    ("URI", "10 1 \"https://test/\""),
    ("PTR", "host.test."),
    ("TYPE65280", "\\# 4 0A000001"),
    ("TYPE65281", "\\# 0"),
    ("EUI48", "00-00-5e-00-53-2a"),
    ("OPENPGPKEY", "AQIDBA=="),
];

/// A zone as text, and what questions are made of.
pub struct MadeZone {
    /// With a final dot.
    pub origin: String,
    /// The master file.
    pub text: String,
    /// Owners and targets, absolute.
    pub names: Vec<String>,
}

impl MadeZone {
    /// The zone as it arrives from a signer; owners of NSEC3 are asked about, too.
    pub fn signed(mut self, folder: &Path, denies: Denies) -> Self {
        let signed = presigned::sign(folder, &self.origin, &self.text, denies);
        let hashed = signed.text.lines().filter_map(|line| {
            let (owner, rest) = line.split_once(char::is_whitespace)?;
            rest.contains("NSEC3\t").then(|| owner.to_owned())
        });
        self.names.extend(hashed.step_by(8));
        self.text = signed.text;
        self
    }
}

/// TTL and data of each type.
type Sets = BTreeMap<&'static str, (u32, Vec<String>)>;

struct Maker<'c> {
    chance: &'c mut Chance,
    origin: String,
    /// Sets by owner (relative, empty for the apex) and type.
    sets: BTreeMap<Vec<String>, Sets>,
    targets: Vec<String>,
}

/// Makes the zone of a seed.
pub fn make(seed: u64) -> MadeZone {
    let mut chance = Chance::new(seed);
    let mut maker = Maker {
        chance: &mut chance,
        origin: format!("z{seed}.test."),
        sets: BTreeMap::new(),
        targets: Vec::new(),
    };
    maker.apex();
    for _ in 0..3 {
        maker.dname();
    }
    for _ in 0..4 {
        maker.cut();
    }
    for _ in 0..6 {
        maker.wildcard();
    }
    for _ in 0..40 {
        maker.any_name();
    }
    for _ in 0..12 {
        maker.cname();
    }
    maker.chain();
    maker.finish()
}

impl Maker<'_> {
    fn apex(&mut self) {
        let soa = "ns1.elsewhere.invalid. admin.elsewhere.invalid. 1 7200 3600 1209600 120";
        self.add(&[], "SOA", 3600, soa.into());
        let server = vec!["ns1".to_owned()];
        let name = self.absolute(&server);
        self.add(&[], "NS", 3600, name);
        self.add(&[], "NS", 3600, "ns.elsewhere.invalid.".into());
        self.add(&server, "A", 3600, "192.0.2.1".into());
        self.add(&server, "AAAA", 3600, "2001:db8::1".into());
        self.add(&[], "MX", 3600, format!("10 mail.{}", self.origin));
        self.add(&[], "TXT", 3600, "\"apex\"".into());
    }

    /// A relative name of one to four labels that is not below a DNAME.
    fn owner(&mut self) -> Vec<String> {
        loop {
            let depth = 1 + self.chance.below(4);
            let labels = (0..depth).map(|_| (*self.chance.pick(LABELS)).to_owned());
            let owner: Vec<String> = labels.collect();
            if !self.is_below(&owner, "DNAME") {
                return owner;
            }
        }
    }

    fn is_below(&self, name: &[String], rtype: &str) -> bool {
        (1..=name.len()).any(|at| {
            let above = self.sets.get(&name[at..]);
            above.is_some_and(|sets| sets.contains_key(rtype))
        })
    }

    fn has_below(&self, name: &[String]) -> bool {
        self.sets
            .keys()
            .any(|other| other.len() > name.len() && other.ends_with(name))
    }

    fn absolute(&self, name: &[String]) -> String {
        let mut text = String::new();
        for label in name {
            let _ = write!(text, "{label}.");
        }
        text + &self.origin
    }

    /// Adds a record unless it contradicts what is there.
    fn add(&mut self, owner: &[String], rtype: &'static str, ttl: u32, data: String) {
        let sets = self.sets.entry(owner.to_vec()).or_default();
        let alone = |rtype: &str| rtype == "CNAME";
        let contradiction = sets
            .keys()
            .any(|other| (alone(other) || alone(rtype)) && (*other != rtype || alone(rtype)));
        if contradiction {
            return;
        }
        let set = sets.entry(rtype).or_insert_with(|| (ttl, Vec::new()));
        if !set.1.contains(&data) {
            set.1.push(data);
        }
    }

    fn ttl(&mut self) -> u32 {
        *self.chance.pick(&[0, 1, 60, 300, 3600, 86_400])
    }

    /// A name that something may point at: inside, below a wildcard, missing, elsewhere.
    fn target(&mut self) -> String {
        let known: Vec<Vec<String>> = self.sets.keys().cloned().collect();
        let mut name = self.chance.pick(&known).clone();
        let target = match self.chance.below(6) {
            0 => "target.elsewhere.invalid.".to_owned(),
            1 => {
                name.insert(0, (*self.chance.pick(LABELS)).to_owned());
                self.absolute(&name)
            }
            2 if name.first().is_some_and(|label| label == "*") => {
                name[0] = "instance".into();
                self.absolute(&name)
            }
            3 => {
                let name = self.owner();
                self.absolute(&name)
            }
            _ => self.absolute(&name),
        };
        self.targets.push(target.clone());
        target
    }

    fn addresses(&mut self, owner: &[String]) {
        let ttl = self.ttl();
        for _ in 0..=self.chance.below(2) {
            let last = self.chance.below(250) + 1;
            self.add(owner, "A", ttl, format!("198.51.100.{last}"));
            if self.chance.one_in(2) {
                self.add(owner, "AAAA", ttl, format!("2001:db8::{last:x}"));
            }
        }
    }

    /// One or more sets of ordinary data.
    fn data(&mut self, owner: &[String]) {
        for _ in 0..=self.chance.below(2) {
            let ttl = self.ttl();
            match self.chance.below(6) {
                0 | 1 => self.addresses(owner),
                2 => {
                    let data = format!("{} {}", self.chance.below(3), self.target());
                    self.add(owner, "MX", ttl, data);
                }
                3 => {
                    let data = format!("0 {} 443 {}", self.chance.below(9), self.target());
                    self.add(owner, "SRV", ttl, data);
                }
                4 => {
                    let rtype = *self.chance.pick(&["HTTPS", "SVCB"]);
                    let data = if self.chance.one_in(2) {
                        format!("0 {}", self.target())
                    } else {
                        format!("1 {} alpn=h2,h3 port=8443", self.target())
                    };
                    self.add(owner, rtype, ttl, data);
                }
                _ => {
                    let (rtype, data) = *self.chance.pick(OTHER);
                    self.add(owner, rtype, ttl, data.into());
                }
            }
        }
    }

    fn any_name(&mut self) {
        let owner = self.owner();
        self.data(&owner);
    }

    fn wildcard(&mut self) {
        let mut owner = self.owner();
        owner.truncate(2);
        owner.insert(0, "*".into());
        if self.is_below(&owner, "DNAME") {
            return;
        }
        if self.chance.one_in(3) {
            let (ttl, target) = (self.ttl(), self.target());
            self.add(&owner, "CNAME", ttl, target);
        } else {
            self.data(&owner);
        }
    }

    fn cname(&mut self) {
        let (owner, ttl, target) = (self.owner(), self.ttl(), self.target());
        self.add(&owner, "CNAME", ttl, target);
    }

    /// Aliases that lead to each other, and round in a circle.
    fn chain(&mut self) {
        let length = 2 + self.chance.below(4);
        let name = |at: usize| vec![format!("chain{at}")];
        for at in 0..length {
            let target = self.absolute(&name(at + 1));
            self.add(&name(at), "CNAME", 60, target);
        }
        let end = self.target();
        self.add(&name(length), "CNAME", 60, end);
        let loops = |at: usize| vec![format!("loop{at}")];
        for at in 0..3 {
            let target = self.absolute(&loops((at + 1) % 3));
            self.add(&loops(at), "CNAME", 60, target);
        }
        let itself = self.absolute(&["self".to_owned()]);
        self.add(&["self".to_owned()], "CNAME", 60, itself);
    }

    fn dname(&mut self) {
        let mut owner = self.owner();
        owner.truncate(2);
        if self.has_below(&owner) || self.is_below(&owner, "DNAME") {
            return;
        }
        if self
            .sets
            .get(&owner)
            .is_some_and(|sets| sets.contains_key("DNAME") || sets.contains_key("CNAME"))
        {
            return;
        }
        let target = match self.chance.below(4) {
            0 => "elsewhere.invalid.".to_owned(),
            // Long enough to overflow with a few labels more.
            1 => format!("{0}.{0}.{0}.{1}.invalid.", "l".repeat(60), "m".repeat(40)),
            _ => self.target(),
        };
        let ttl = self.ttl();
        self.add(&owner, "DNAME", ttl, target);
        if self.chance.one_in(2) {
            self.addresses(&owner);
        }
    }

    fn cut(&mut self) {
        let mut owner = self.owner();
        owner.truncate(2);
        if self.sets.contains_key(&owner) || self.is_below(&owner, "DNAME") {
            return;
        }
        let ttl = self.ttl();
        for at in 0..=self.chance.below(2) {
            let mut server = owner.clone();
            server.insert(0, format!("ns{at}"));
            match self.chance.below(4) {
                0 => self.add(&owner, "NS", ttl, "ns.elsewhere.invalid.".into()),
                1 => {
                    let target = self.target();
                    self.add(&owner, "NS", ttl, target);
                }
                _ => {
                    let target = self.absolute(&server);
                    self.add(&owner, "NS", ttl, target);
                    self.addresses(&server);
                }
            }
        }
        if self.chance.one_in(2) {
            let digest =
                "60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A";
            self.add(&owner, "DS", ttl, digest.into());
        }
        if self.chance.one_in(2) {
            // Below the cut: the child's business, though it stands here.
            let mut below = owner;
            below.insert(0, "occluded".into());
            self.data(&below);
        }
    }

    fn finish(self) -> MadeZone {
        let mut text = format!("$ORIGIN {}\n", self.origin);
        let mut names = self.targets.clone();
        let apex: Vec<String> = Vec::new();
        let rest = self.sets.iter().filter(|(owner, _)| !owner.is_empty());
        for (owner, sets) in self.sets.get_key_value(&apex).into_iter().chain(rest) {
            // Names below a CNAME's owner may have been made empty.
            names.push(self.absolute(owner));
            let soa_first = sets.get_key_value("SOA").into_iter();
            for (rtype, (ttl, data)) in
                soa_first.chain(sets.iter().filter(|(rtype, _)| **rtype != "SOA"))
            {
                for data in data {
                    let _ = writeln!(text, "{} {ttl} IN {rtype} {data}", self.absolute(owner));
                }
            }
        }
        names.sort();
        names.dedup();
        MadeZone {
            origin: self.origin,
            text,
            names,
        }
    }
}
