//! `meridian dns keys`: the keys that sign zones, step by step through their lives.
//!
//! Every step works on the key folder alone: a running node notices within seconds, and nodes that
//! share a zone share the folder's content.

use std::path::PathBuf;

use meridian_geodns::dnssec::{
    DnssecSettings, KeyDesk, KeyRole, ListedZone, NextStep, Patience, StepReport, time_text,
};

use crate::client::NodeArgs;
use crate::config::Deployment;
use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  meridian dns keys generate example.com --dir /etc/meridian\n  meridian dns keys show-ds example.com --dir /etc/meridian"
)]
pub struct KeysArgs {
    /// How the result is printed.
    #[arg(long, short, global = true, default_value = "table")]
    output: Format,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeysCommand {
    /// Make a zone's first key; it signs at once.
    #[command(after_help = "Example:\n  meridian dns keys generate example.com")]
    Generate {
        /// The zone, as under `dns.dnssec.zones`.
        zone: String,
        /// A KSK and a ZSK instead of one key for everything.
        #[arg(long)]
        split: bool,
    },
    /// Take over a private key (PKCS#8) from another server.
    #[command(after_help = "Example:\n  meridian dns keys import example.com old.pem --role csk")]
    Import {
        /// The zone.
        zone: String,
        /// The private key, PEM or DER, readable by its owner alone.
        file: PathBuf,
        /// What the key signs: csk, ksk or zsk.
        #[arg(long, default_value = "csk")]
        role: KeyRole,
    },
    /// List keys, their states and the next step.
    #[command(after_help = "Example:\n  meridian dns keys list")]
    List {
        /// One zone; default all.
        zone: Option<String>,
    },
    /// Print the DS records for the parent, and the keys for trust anchors.
    #[command(after_help = "Example:\n  meridian dns keys show-ds example.com")]
    ShowDs {
        /// The zone.
        zone: String,
    },
    /// Begin a roll: make the successor of a key and publish it.
    #[command(after_help = "Example:\n  meridian dns keys roll example.com --role zsk")]
    Roll {
        /// The zone.
        zone: String,
        /// Which key: csk, ksk or zsk. Default: the one that signs the data.
        #[arg(long)]
        role: Option<KeyRole>,
    },
    /// Let a published key sign; the one it replaces retires.
    #[command(after_help = "Example:\n  meridian dns keys activate example.com 12345")]
    Activate {
        /// The zone.
        zone: String,
        /// The key tag.
        tag: u16,
        /// Do not wait until caches know the key.
        #[arg(long)]
        now: bool,
    },
    /// Let an active key sign no more; another of its role must be active.
    #[command(after_help = "Example:\n  meridian dns keys retire example.com 12345")]
    Retire {
        /// The zone.
        zone: String,
        /// The key tag.
        tag: u16,
    },
    /// Note that every server of the parent has a key's DS.
    #[command(after_help = "Example:\n  meridian dns keys ds-seen example.com 12345")]
    DsSeen {
        /// The zone.
        zone: String,
        /// The key tag.
        tag: u16,
    },
    /// Take a retired key out of the zone and delete it.
    #[command(after_help = "Example:\n  meridian dns keys remove example.com 12345")]
    Remove {
        /// The zone.
        zone: String,
        /// The key tag.
        tag: u16,
        /// Do not wait until caches have forgotten the key.
        #[arg(long)]
        now: bool,
    },
    /// Take a zone unsigned: first the parent's DS goes, then the keys.
    #[command(
        after_help = "Example:\n  meridian dns keys unsign example.com\n  meridian dns keys unsign example.com --ds-gone\n  meridian dns keys unsign example.com --finish"
    )]
    Unsign {
        /// The zone.
        zone: String,
        /// Note that no server of the parent has a DS.
        #[arg(long, conflicts_with_all = ["finish", "cancel"])]
        ds_gone: bool,
        /// End it: delete the keys.
        #[arg(long, conflicts_with = "cancel")]
        finish: bool,
        /// Stay signed after all.
        #[arg(long)]
        cancel: bool,
        /// With --finish: do not wait until caches have forgotten the DS.
        #[arg(long, requires = "finish")]
        now: bool,
    },
}

/// Takes the step and prints what it did.
pub fn run(node: &NodeArgs, args: &KeysArgs) -> Result<(), Failure> {
    let settings = Deployment::read(&node.dir)?.node.dns.dnssec.validate()?;
    let now = crate::unix_seconds() as u64;
    let desk = |zone: &str| KeyDesk::of(&settings, zone);
    let report = match &args.command {
        KeysCommand::List { zone } => return list(&settings, zone.as_deref(), args.output),
        KeysCommand::ShowDs { zone } => return show_ds(&desk(zone)?, args.output),
        KeysCommand::Generate { zone, split } => {
            let roles: &[KeyRole] = if *split {
                &[KeyRole::Ksk, KeyRole::Zsk]
            } else {
                &[KeyRole::Csk]
            };
            desk(zone)?.generate(roles, now)?
        }
        KeysCommand::Import { zone, file, role } => desk(zone)?.import(file, *role, now)?,
        KeysCommand::Roll { zone, role } => desk(zone)?.roll(*role, now)?,
        KeysCommand::Activate {
            zone,
            tag,
            now: at_once,
        } => desk(zone)?.activate(*tag, patience(*at_once), now)?,
        KeysCommand::Retire { zone, tag } => desk(zone)?.retire(*tag, now)?,
        KeysCommand::DsSeen { zone, tag } => desk(zone)?.ds_seen(*tag, now)?,
        KeysCommand::Remove {
            zone,
            tag,
            now: at_once,
        } => desk(zone)?.remove(*tag, patience(*at_once), now)?,
        KeysCommand::Unsign {
            zone,
            ds_gone: true,
            ..
        } => desk(zone)?.ds_gone(now)?,
        KeysCommand::Unsign {
            zone, cancel: true, ..
        } => desk(zone)?.stay_signed()?,
        KeysCommand::Unsign {
            zone,
            finish: true,
            now: at_once,
            ..
        } => desk(zone)?.finish_unsigning(patience(*at_once), now)?,
        KeysCommand::Unsign { zone, .. } => desk(zone)?.unsign(now)?,
    };
    print(&report, args.output)
}

fn patience(at_once: bool) -> Patience {
    if at_once {
        Patience::Skip
    } else {
        Patience::Wait
    }
}

fn print(report: &StepReport, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(report);
    }
    for did in &report.did {
        output::line(format_args!("{}: {did}", report.zone));
    }
    output::line(format_args!("next: {}", next(&report.next)));
    Ok(())
}

fn next(step: &NextStep) -> String {
    match step.safe_at {
        Some(at) => format!("{}, not before {}", step.what, time_text(at)),
        None => step.what.clone(),
    }
}

fn list(settings: &DnssecSettings, zone: Option<&str>, format: Format) -> Result<(), Failure> {
    let zones: Vec<&str> = match zone {
        Some(zone) => vec![zone],
        None => settings.zones().iter().map(|zone| &*zone.zone).collect(),
    };
    let listed = zones
        .into_iter()
        .map(|zone| KeyDesk::of(settings, zone)?.list())
        .collect::<Result<Vec<ListedZone>, _>>()?;
    if format == Format::Json {
        return output::json(&listed);
    }
    let mut rows = Vec::new();
    for zone in &listed {
        for key in &zone.keys {
            rows.push([
                zone.zone.clone(),
                key.tag.to_string(),
                key.role.into(),
                key.algorithm.into(),
                key.state.into(),
                key.since.clone(),
                key.ds_seen.clone().unwrap_or_else(|| "-".into()),
            ]);
        }
    }
    output::table(
        [
            "ZONE",
            "TAG",
            "ROLE",
            "ALGORITHM",
            "STATE",
            "SINCE",
            "DS SEEN",
        ],
        &rows,
    );
    for zone in &listed {
        output::line(format_args!(
            "{} is {}; next: {}",
            zone.zone,
            zone.state,
            next(&zone.next)
        ));
    }
    Ok(())
}

fn show_ds(desk: &KeyDesk<'_>, format: Format) -> Result<(), Failure> {
    let keys = desk.at_parent()?;
    if format == Format::Json {
        return output::json(&keys);
    }
    for key in &keys {
        output::line(&key.ds);
    }
    for key in &keys {
        output::line(&key.dnskey);
    }
    Ok(())
}
