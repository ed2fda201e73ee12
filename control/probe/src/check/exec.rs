//! A program whose exit code decides. There is no shell: the command is run as it stands.
//!
//! The program leads a process group of its own. Whoever drops the probe (a timeout, a removed
//! check, a shutdown) kills the whole group. Its environment is `ADDRESS`, `PORT` and a fixed
//! `PATH`, nothing of ours; its input and output are `/dev/null`.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::Failure;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

pub(super) async fn run(
    command: &str,
    args: &[String],
    address: SocketAddr,
) -> Result<(), Failure> {
    let child = Command::new(command)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .env("ADDRESS", address.ip().to_string())
        .env("PORT", address.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::Spawn(error.kind()))?;
    let mut group = Group { child };
    let status = group
        .child
        .wait()
        .await
        .map_err(|error| Failure::Spawn(error.kind()))?;
    judge(status)
}

fn judge(status: ExitStatus) -> Result<(), Failure> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Failure::ExitCode(code)),
        (None, Some(signal)) => Err(Failure::Signal(signal)),
        (None, None) => Err(Failure::Internal),
    }
}

/// A program and everything it started in its group.
struct Group {
    child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        // `id` is there only until the leader is reaped: until then its number cannot be another's.
        let leader = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // It may have ended by itself in this very moment.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
