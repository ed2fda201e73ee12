//! `meridian demo`: the main job on one machine, with nothing to set up.

mod check;
mod clients;
mod etcd;
mod origins;
mod world;

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;
use world::{DemoWorld, Ports, StoreKind};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian demo --check")]
pub struct DemoArgs {
    /// Drive real clients through the world, print what they saw, exit 0 or 1.
    #[arg(long)]
    check: bool,
    /// Where the state is kept.
    #[arg(long, default_value = "embedded")]
    store: StoreKind,
}

/// Runs until Ctrl-C, or the check.
pub async fn run(args: &DemoArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let folder = Folder::make()?;
    let ports = if args.check {
        Ports::Free
    } else {
        Ports::Default
    };
    meridian_telemetry::logging::init(&log_config(args.check))?;
    let mut world = tokio::select! {
        started = DemoWorld::start(&folder.0, args.store, ports) => started?,
        () = signals.next() => return Err(Failure::other("stopped while starting")),
    };
    output::line(format_args!("model {}", world.model));
    for (room, address) in &world.node.listeners {
        output::line(format_args!("{room:<7} {address}"));
    }
    let result = if args.check {
        tokio::select! {
            checked = check::run(&mut world) => {
                checked.map(|held| output::line(format_args!("{held} claims held")))
            }
            () = signals.next() => Err(Failure::other("stopped before the check was done")),
        }
    } else {
        instructions(&folder.0);
        signals.next().await;
        Ok(())
    };
    world.stop().await;
    result
}

fn instructions(folder: &std::path::Path) {
    let folder = folder.display();
    output::line(format_args!(
        "\ntry, from another terminal (Ctrl-C here ends the demo):\n\
         \x20 kdig @127.0.0.1 -p 5353 shop.demo.test +subnet=85.214.132.0/24\n\
         \x20 curl -H 'Host: shop.demo.test' -H 'X-Forwarded-For: 85.214.132.117' http://127.0.0.1:8080/\n\
         \x20 meridian explain --dir {folder} --service shop --client 85.214.132.117\n\
         \x20 meridian get status --dir {folder}\n\
         \x20 meridian drain region eu-central-1 --dir {folder}\n\
         \x20 $EDITOR {folder}/policies/shop.yaml\n"
    ));
}

/// A check prints its own story; the node speaks up only when something is wrong.
fn log_config(check: bool) -> meridian_telemetry::logging::LogConfig {
    let filter = if check { "error" } else { "info" };
    meridian_telemetry::logging::LogConfig {
        filter: filter.into(),
        ..Default::default()
    }
}

/// Names that are tried for the folder.
const NAMES_MAX: u32 = 100;

/// The demo's deployment directory; removed at the end.
struct Folder(PathBuf);

impl Folder {
    /// A new folder that only this user can enter: it holds the token that changes the node.
    fn make() -> Result<Self, Failure> {
        for attempt in 0..NAMES_MAX {
            let name = format!("meridian-demo-{}-{attempt}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // Of a demo with our number that was killed.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::at(&path)(error)),
            }
        }
        Err(Failure::other(
            "no name is left for the demo's folder; remove the old ones",
        ))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing to do about a folder that cannot be removed; the system clears its temporary files.
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}
