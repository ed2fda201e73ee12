//! The last good sources on disk: what a node serves when it starts while its store is away.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::sources::Sources;

const FILE: &str = "last-good.json";

/// Where the last good sources are kept; nowhere when the node has no state folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastGood {
    folder: Option<PathBuf>,
}

impl LastGood {
    /// Keeps them in `folder`, which must exist.
    pub fn in_folder(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Path::to_path_buf),
        }
    }

    /// Writes `sources` whole or not at all. A failure is logged: serving goes on without the copy.
    pub fn save(&self, sources: &Sources) {
        let Some(folder) = &self.folder else { return };
        let (target, fresh) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        let written = serde_json::to_vec(sources)
            .map_err(std::io::Error::other)
            .and_then(|bytes| write_synced(&fresh, &bytes))
            .and_then(|()| std::fs::rename(&fresh, &target));
        if let Err(error) = written {
            tracing::warn!(path = %target.display(), %error, "the last good sources could not be saved");
        }
    }

    /// What was saved last; `None` when there is none or it is damaged.
    pub fn load(&self) -> Option<Sources> {
        let path = self.folder.as_ref()?.join(FILE);
        let bytes = std::fs::read(&path).ok()?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "the saved sources are damaged"))
            .ok()
    }
}

/// On disk before it is renamed: a power cut leaves the old copy or the new one.
fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
