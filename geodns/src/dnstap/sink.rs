//! Where frames end up: a rotated file or a reader behind a socket.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::{DnstapFile, DnstapTarget};
use super::frame::{Control, expect_control, write_control};

/// How long a reader may take for a connection, a handshake, or to take what is written.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a reader gets to say FINISH at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// An output that takes frames.
pub(super) enum Sink {
    File(FrameFile),
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Sink {
    /// Opens it and says what follows.
    pub(super) fn open(target: &DnstapTarget) -> io::Result<Self> {
        Ok(match target {
            DnstapTarget::File(file) => Self::File(FrameFile::open(file)?),
            DnstapTarget::Unix(path) => {
                let mut stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                shake_hands(&mut stream)?;
                Self::Unix(stream)
            }
            DnstapTarget::Tcp(address) => {
                let mut stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                shake_hands(&mut stream)?;
                Self::Tcp(stream)
            }
        })
    }

    /// Writes whole frames.
    pub(super) fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(frames),
            Self::Unix(stream) => stream.write_all(frames),
            Self::Tcp(stream) => stream.write_all(frames),
        }
    }

    /// Says that nothing follows. A reader that is gone already has lost nothing more.
    pub(super) fn finish(self) {
        let _reader_gone = match self {
            Self::File(mut file) => write_control(&mut file.file, Control::Stop),
            Self::Unix(mut stream) => stream
                .set_read_timeout(Some(FAREWELL))
                .and_then(|()| part(&mut stream))
                .and_then(|()| stream.shutdown(Shutdown::Both)),
            Self::Tcp(mut stream) => stream
                .set_read_timeout(Some(FAREWELL))
                .and_then(|()| part(&mut stream))
                .and_then(|()| stream.shutdown(Shutdown::Both)),
        };
    }
}

fn shake_hands(stream: &mut (impl Read + Write)) -> io::Result<()> {
    write_control(stream, Control::Ready)?;
    expect_control(stream, Control::Accept)?;
    write_control(stream, Control::Start)
}

fn part(stream: &mut (impl Read + Write)) -> io::Result<()> {
    write_control(stream, Control::Stop)?;
    expect_control(stream, Control::Finish)
}

/// `PATH` is current; `PATH.1` is the youngest of the old ones. Each is a whole stream of its own.
pub(super) struct FrameFile {
    settings: DnstapFile,
    file: File,
    bytes: u64,
}

impl FrameFile {
    fn open(settings: &DnstapFile) -> io::Result<Self> {
        let folder = settings.path.parent();
        if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        // A stream cannot be continued behind its STOP: what an earlier process left is put aside.
        if std::fs::metadata(&settings.path).is_ok_and(|left| left.len() > 0) {
            put_aside(&settings.path, settings.max_files)?;
        }
        let (file, bytes) = begin(&settings.path)?;
        Ok(Self {
            settings: settings.clone(),
            file,
            bytes,
        })
    }

    fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        if self.bytes.saturating_add(frames.len() as u64) > self.settings.max_bytes {
            write_control(&mut self.file, Control::Stop)?;
            put_aside(&self.settings.path, self.settings.max_files)?;
            (self.file, self.bytes) = begin(&self.settings.path)?;
        }
        self.file.write_all(frames)?;
        self.bytes += frames.len() as u64;
        Ok(())
    }
}

/// Readable for the node's user and group: traffic tells of people.
fn begin(path: &Path) -> io::Result<(File, u64)> {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o640);
    let mut file = options.open(path)?;
    write_control(&mut file, Control::Start)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// Renames `PATH` to `PATH.1`, that to `PATH.2`, and so on; the oldest goes.
fn put_aside(path: &Path, max_files: usize) -> io::Result<()> {
    let numbered = |number: usize| -> PathBuf {
        if number == 0 {
            return path.to_path_buf();
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    };
    for number in (0..max_files - 1).rev() {
        match std::fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
