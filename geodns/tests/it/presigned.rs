//! Zones signed by BIND's `dnssec-signzone`, as they arrive from another signer.

mod validators;

use std::path::Path;
use std::process::Command;

/// How a signed zone says that something does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denies {
    Nsec,
    Nsec3,
    /// Unsigned delegations have no NSEC3 of their own (RFC 5155 §6).
    Nsec3OptOut,
}

impl Denies {
    pub const ALL: [Self; 3] = [Self::Nsec, Self::Nsec3, Self::Nsec3OptOut];

    /// The origin that tests give such a zone.
    pub fn origin(self) -> &'static str {
        match self {
            Self::Nsec => "nsec.test.",
            Self::Nsec3 => "nsec3.test.",
            Self::Nsec3OptOut => "optout.test.",
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Nsec => &[],
            Self::Nsec3 => &["-3", "c0ffee", "-H", "3"],
            Self::Nsec3OptOut => &["-3", "-", "-H", "0", "-A"],
        }
    }
}

/// A zone in presentation form, signed, and the key that a validator is to trust.
pub struct Presigned {
    pub text: String,
    /// A DNSKEY record.
    pub anchor: String,
}

/// Says which of the programs of [`sign`] is not there.
pub fn missing() -> Option<&'static str> {
    let runs = |program: &&str| Command::new(program).arg("-V").output().is_err();
    ["dnssec-keygen", "dnssec-signzone"].into_iter().find(runs)
}

/// Signs a zone with a new key, in a folder for its files.
pub fn sign(folder: &Path, origin: &str, text: &str, denies: Denies) -> Presigned {
    let folder = folder.join(format!("{origin}{denies:?}.signing"));
    std::fs::create_dir_all(&folder).unwrap();
    let key = run(Command::new("dnssec-keygen")
        .args(["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", origin])
        .current_dir(&folder));
    let key = key.trim();
    let keys = std::fs::read_to_string(folder.join(format!("{key}.key"))).unwrap();
    let anchor = keys.lines().find(|line| !line.starts_with(';')).unwrap();
    std::fs::write(folder.join("plain"), format!("{text}\n{anchor}\n")).unwrap();
    run(Command::new("dnssec-signzone")
        .args(["-q", "-P", "-z", "-O", "full", "-o", origin, "-f", "signed"])
        .args(denies.options())
        .args(["plain", key])
        .current_dir(&folder));
    Presigned {
        text: std::fs::read_to_string(folder.join("signed")).unwrap(),
        anchor: anchor.to_owned(),
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A zone with every kind of absence; a delegation is served here, too, and unsigned.
const EVERYTHING: &str = "\
$TTL 300
@ SOA ns1 admin 1 7200 3600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.80
deep.ent A 192.0.2.81
*.wild TXT wild
*.alias CNAME www
*.lost CNAME nowhere
*.mail MX 10 www
web CNAME www
dangling CNAME nowhere
away DNAME ent
unsigned NS ns1
hidden.behind NS ns1
secure NS ns1
secure DS 60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A
";

/// A folder of master files: the zone of everything, signed each way, and their unsigned children.
pub fn folder_of_everything(folder: &Path) -> Vec<Presigned> {
    let one = |denies: Denies| {
        let origin = denies.origin();
        let signed = sign(folder, origin, EVERYTHING, denies);
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join(format!("{name}zone")), text).unwrap();
        };
        write(origin, &signed.text);
        let child = "@ 60 SOA a b 1 1 1 1 1\n@ 60 NS a\nhost 60 A 192.0.2.90\n";
        write(&format!("unsigned.{origin}"), child);
        signed
    };
    Denies::ALL.map(one).into()
}
