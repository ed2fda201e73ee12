#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use super::*;

fn shell(script: &str) -> Result<Pinned, GenError> {
    let dir = std::env::temp_dir().join(format!("meridian-gen-{}.log", std::process::id()));
    let args = ["-c", script].map(str::to_owned);
    Pinned::start("shell", SUBJECT_CORE, Path::new("/bin/sh"), &args, &dir)
}

#[test]
fn cpu_of_children_counts() {
    // The worker is a child of the shell, as nginx's are of their master.
    let mut busy = shell("sh -c 'while :; do :; done'; true").unwrap();
    let used = |process: &Pinned| process.cpu() >= Duration::from_millis(30);
    let mut count = 0;
    let spent = |process: &Pinned| used(process).then_some(()).ok_or_else(String::new);
    while spent(&busy).is_err() {
        count += 1;
        assert!(count < 3_000, "no CPU time is seen");
        pause(LOOK_EVERY);
    }
    assert!(busy.child.try_wait().unwrap().is_none());
    let workers: Vec<u32> = descendants(busy.child.id(), &parents());
    assert!(workers.len() > 1, "the shell has a worker: {workers:?}");
    drop(busy);
    for worker in workers {
        let mut looks = 0;
        while runs(worker) {
            looks += 1;
            assert!(looks < 3_000, "process {worker} outlives its subject");
            pause(LOOK_EVERY);
        }
    }
}

#[test]
fn anonymous_memory_is_seen() {
    let waiting = shell("sleep 60; true").unwrap();
    let mut looks = 0;
    while waiting.anonymous_bytes() == 0 {
        looks += 1;
        assert!(looks < 3_000, "no memory is seen");
        pause(LOOK_EVERY);
    }
}

/// Whether a process does anything; one that ended and waits for its parent's look does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_subject_that_ends_is_reported_with_its_last_words() {
    let mut dying = shell("echo out of luck >&2; exit 3").unwrap();
    let error = dying.wait_until(|| Err("silent".to_owned())).unwrap_err();
    assert!(error.to_string().contains("out of luck"), "{error}");
}

#[test]
fn missing_programs_name_their_package() {
    let error = find("no-such-program", "no-package").unwrap_err();
    assert!(error.to_string().contains("no-package"), "{error}");
}
