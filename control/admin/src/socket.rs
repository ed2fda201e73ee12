//! The Unix socket: only the node's user can open it, at every moment of its life.
//!
//! It is made in a folder of its own with mode 0700, given mode 0600 and moved into place, so that
//! there is no moment in which others could connect. A leftover of a node that died is replaced; the
//! socket of a living node, or a file that is no socket, is not.

use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

#[cfg(test)]
mod tests;

/// A node that accepts a connection within this time is alive.
const ALIVE_PATIENCE: Duration = Duration::from_secs(1);

/// A listening socket and its file.
#[derive(Debug)]
pub(crate) struct Socket {
    pub listener: UnixListener,
    pub file: SocketFile,
}

/// The file of a socket: gone when this is dropped, unless somebody else's is there by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Nobody is left to tell.
            let _gone_already = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on `path`.
pub(crate) async fn bind(path: &Path) -> Result<Socket> {
    refuse_if_taken(path).await?;
    let workshop = Workshop::beside(path)?;
    let made = workshop.socket();
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
    let identity = identity(&made)?;
    std::fs::rename(&made, path)?;
    let path = path.to_path_buf();
    Ok(Socket {
        listener,
        file: SocketFile { path, identity },
    })
}

async fn refuse_if_taken(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            let message = "there is a file that is no socket; move it away";
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        Ok(_) => {}
    }
    match tokio::time::timeout(ALIVE_PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error))
            if matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::NotFound
            ) =>
        {
            Ok(())
        }
        // Also one with a full queue, or that does not answer: it may still live.
        _ => Err(Error::new(
            ErrorKind::AddrInUse,
            "another node serves this socket",
        )),
    }
}

fn identity(path: &Path) -> Result<(u64, u64)> {
    let there = std::fs::symlink_metadata(path)?;
    Ok((there.dev(), there.ino()))
}

/// A folder that only this user can enter. Its name is short: a socket's path has at most 107 bytes.
struct Workshop(PathBuf);

impl Workshop {
    fn beside(path: &Path) -> Result<Self> {
        let folder = path.with_file_name(format!(".{}", std::process::id()));
        let made = Self(folder);
        match std::fs::DirBuilder::new().mode(0o700).create(&made.0) {
            // Of a process with our number that died in here.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                std::fs::remove_dir_all(&made.0)?;
                std::fs::DirBuilder::new().mode(0o700).create(&made.0)?;
            }
            created => created?,
        }
        Ok(made)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // Empty after success; what a failure left in it is of no use.
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}
