//! Subjects and loaders as processes pinned to a core, and what they cost.
//!
//! CPU time is read from `/proc/PID/task/*/schedstat` in nanoseconds: `/proc/PID/stat` counts
//! ticks of 10 ms and misses short work.

use std::{
    collections::HashMap,
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill, killpg},
    },
    unistd::Pid,
};

use crate::GenError;

/// Where subjects run.
pub const SUBJECT_CORE: usize = 0;
/// Where load and upstreams run.
pub const LOAD_CORE: usize = 1;
/// Open files wanted: [`crate::http::CONNECTIONS_MAX`] on both sides of a proxy and room to spare.
const OPEN_FILES: u64 = 20_000;
/// How long a subject may take to answer after its start.
pub const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a subject may take to end when asked to.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at something awaited.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How much of a failed program's log is shown.
const LOG_TAIL_BYTES: usize = 2_000;

/// A running process on one core. It ends with this value.
#[derive(Debug)]
pub struct Pinned {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Pinned {
    /// Starts `program` on `core`; what it writes goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        name: &str,
        core: usize,
        program: &Path,
        args: &[String],
        log: &Path,
    ) -> Result<Self, GenError> {
        let file = fs::File::create(log).map_err(|source| file_error(log, source))?;
        let copy = file.try_clone().map_err(|source| file_error(log, source))?;
        let child = pinned(core, program, args)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .map_err(|source| run_error(program, source))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Looks until `ready` succeeds.
    ///
    /// # Errors
    /// When the process ends or [`READY_WITHIN`] passes, with what was seen last.
    pub fn wait_until(
        &mut self,
        mut ready: impl FnMut() -> Result<(), String>,
    ) -> Result<(), GenError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let Err(detail) = ready() else { return Ok(()) };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(GenError::Failed {
                    program: self.name.clone(),
                    detail: format!("{status}: {}", log_tail(&self.log)),
                });
            }
            if Instant::now() >= deadline {
                return Err(GenError::NotReady {
                    subject: self.name.clone(),
                    within: READY_WITHIN,
                    detail: format!("{detail}; {}", log_tail(&self.log)),
                });
            }
            pause(LOOK_EVERY);
        }
    }

    /// Memory of the process that lies in RAM, in bytes; 0 when the system does not say.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// Memory of the process and its descendants that no file backs, in bytes; what several of them
    /// share counts once. 0 when the system does not say.
    ///
    /// Read page by page: the counters of `/proc/PID/status` are kept per core and lag behind.
    #[must_use]
    pub fn anonymous_bytes(&self) -> u64 {
        let of_tree = descendants(self.child.id(), &parents());
        of_tree.into_iter().map(anonymous_bytes).sum()
    }

    /// CPU time used so far by the process and its descendants.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let parents = parents();
        let of_tree = descendants(self.child.id(), &parents);
        Duration::from_nanos(of_tree.into_iter().map(cpu_ns).sum())
    }
}

impl Drop for Pinned {
    /// Asks first, so that masters take their workers along; then ends the whole process group,
    /// workers without a master included.
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        if matches!(self.child.try_wait(), Ok(None)) && kill(group, Signal::SIGTERM).is_ok() {
            let deadline = Instant::now() + STOP_WITHIN;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                pause(LOOK_EVERY);
            }
        }
        // An empty group is fine.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Runs `program` on `core` to its end and gives what it printed.
///
/// # Errors
/// When it cannot be run or fails.
pub fn output(core: usize, program: &Path, args: &[String]) -> Result<String, GenError> {
    outputs(core, program, args).map(|[out, _]| out)
}

/// The same with what it printed on standard error as the second text.
///
/// # Errors
/// When it cannot be run or fails.
pub fn outputs(core: usize, program: &Path, args: &[String]) -> Result<[String; 2], GenError> {
    let output = pinned(core, program, args)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| run_error(program, source))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(GenError::Failed {
            program: program.display().to_string(),
            detail: format!("{}: {}", output.status, tail(&text)),
        });
    }
    Ok([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()))
}

/// A command that runs on one core.
fn pinned(core: usize, program: &Path, args: &[String]) -> Command {
    let mut command = Command::new("taskset");
    command
        .process_group(0)
        .args(["-c", &core.to_string()])
        .arg(program)
        .args(args);
    command
}

/// Lets this process and all it starts have enough open files, as far as the system allows.
///
/// # Errors
/// When the limit cannot be read or changed.
pub fn raise_open_files() -> Result<(), GenError> {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
    let wanted = now.max(OPEN_FILES.min(most));
    setrlimit(Resource::RLIMIT_NOFILE, wanted, most).map_err(std::io::Error::from)?;
    Ok(())
}

/// Keeps this thread, and those it starts, on one core.
///
/// # Errors
/// When there is no such core.
pub fn stay_on(core: usize) -> Result<(), GenError> {
    let mut cores = CpuSet::new();
    cores
        .set(core)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &cores))
        .map_err(std::io::Error::from)?;
    Ok(())
}

/// Where an installed program is; daemons' folders are looked at even if they are not in `PATH`.
///
/// # Errors
/// Names the package that brings it.
pub fn find(program: &str, package: &'static str) -> Result<PathBuf, GenError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(daemons)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| GenError::Missing {
            program: program.to_owned(),
            package,
        })
}

/// Ports that subjects listen on: below those that the system gives to outgoing connections, one of which
/// could take it before the subject does.
const FIRST_PORT: u32 = 10_000;
const PORTS: u32 = 20_000;

/// A loopback address nobody listens on at this moment, neither by UDP nor by TCP.
///
/// # Errors
/// When no socket can be opened.
pub fn free_address() -> Result<SocketAddr, GenError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut last = None;
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = std::process::id().wrapping_mul(61).wrapping_add(step) % PORTS;
        // Below 65,536: see the two constants.
        let address = SocketAddr::from(([127, 0, 0, 1], (FIRST_PORT + place) as u16));
        match (UdpSocket::bind(address), TcpListener::bind(address)) {
            (Ok(_), Ok(_)) => return Ok(address),
            (Err(error), _) | (_, Err(error)) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into());
    Err(error.into())
}

/// Sleeps.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmarks run on plain threads; there is no runtime to block"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Writes a file of a subject's configuration.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), GenError> {
    fs::write(path, text).map_err(|source| file_error(path, source))
}

/// Makes a folder and those above it.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), GenError> {
    fs::create_dir_all(path).map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: std::io::Error) -> GenError {
    GenError::File {
        path: path.to_owned(),
        source,
    }
}

fn run_error(program: &Path, source: std::io::Error) -> GenError {
    GenError::Run {
        program: program.display().to_string(),
        source,
    }
}

fn log_tail(log: &Path) -> String {
    tail(&fs::read_to_string(log).unwrap_or_default()).to_owned()
}

/// The end of a text.
fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(LOG_TAIL_BYTES);
    let from = (from..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    text[from..].trim()
}

/// Every process's parent.
fn parents() -> HashMap<u32, u32> {
    let Ok(folder) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in parentheses may hold anything; state and parent follow it.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect()
}

/// A process and all below it.
fn descendants(root: u32, parents: &HashMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = parents.iter().filter(|(_, of)| **of == parent);
        found.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// Memory of one process that no file backs, its share of what it shares.
fn anonymous_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss_Anon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Nanoseconds on a CPU, all threads of one process. Threads that ended are not counted.
fn cpu_ns(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    tasks
        .flatten()
        .filter_map(|task| {
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests;
