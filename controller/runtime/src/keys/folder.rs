//! A folder with the keys of zones, one file each: the protected copy of a replica, or the store of all.
//!
//! What must stay true: only the owner can read a file; a file is replaced as a whole or not at all, also
//! when the machine stops in the middle; a file that cannot be used is told and left as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::stored::StoredKeys;

/// The end of the file names.
const SUFFIX: &str = "keys.json";

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct KeyFolder(PathBuf);

impl KeyFolder {
    /// That folder; it is made when something is written.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// What is in it, by zone.
    pub(super) fn read_documents(&self) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let files = self.files()?.into_iter();
        files.map(|(zone, path)| Ok((zone, fs::read(path)?))).collect()
    }

    /// All keys in it, and why a file is none.
    pub(crate) fn read_all(&self) -> (Vec<StoredKeys>, Vec<String>) {
        let (mut keys, mut problems) = (Vec::new(), Vec::new());
        let files = self.files().unwrap_or_else(|error| {
            problems.push(format!("{} cannot be read: {error}", self.0.display()));
            BTreeMap::new()
        });
        for path in files.into_values() {
            let read = fs::read(&path).map_err(|error| error.to_string());
            let read = read.and_then(|document| StoredKeys::from_json(&document).map_err(|error| error.to_string()));
            match read {
                Ok(read) => keys.push(read),
                Err(reason) => problems.push(format!("{}: {reason}", path.display())),
            }
        }
        keys.sort_by(|a, b| a.zone.cmp(&b.zone));
        (keys, problems)
    }

    /// The files of keys, by zone. A folder that is not there is empty.
    fn files(&self) -> io::Result<BTreeMap<String, PathBuf>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let zone = file.strip_suffix(SUFFIX).and_then(|file| file.strip_suffix('.'));
            if let Some(zone) = zone.filter(|zone| !zone.starts_with('.')) {
                files.insert(zone.to_owned(), path);
            }
        }
        Ok(files)
    }

    /// Replaces the file of a zone.
    pub(super) fn write(&self, zone: &str, document: &[u8]) -> io::Result<()> {
        make_folder(&self.0)?;
        // Made for the owner alone, and given its name only when it is whole and on the disk.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.0)?;
        file.write_all(document)?;
        file.as_file().sync_all()?;
        file.persist(self.path(zone))?;
        fs::File::open(&self.0)?.sync_all()
    }

    /// The file of a zone.
    pub(super) fn path(&self, zone: &str) -> PathBuf {
        self.0.join(format!("{}.{SUFFIX}", zone.trim_end_matches('.')))
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use meridian_dns_core::DnsName;

    use super::*;
    use crate::keys::care::care;
    use crate::keys::care::tests::policy;

    #[test]
    fn files_are_the_owners_and_damaged_ones_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = KeyFolder::new(folder.path().join("deep/keys"));
        assert_eq!(keys.read_all(), (Vec::new(), Vec::new()));
        let zone = DnsName::parse("example.test").expect("a name");
        let first = care(&StoredKeys::empty(zone.clone()), &policy(), None, 1)
            .expect("keys")
            .keys;
        let second = care(&first, &policy(), None, 10_000).expect("keys").keys;
        for stored in [&first, &second] {
            keys.write(zone.as_str(), &stored.to_json().expect("JSON"))
                .expect("written");
            let path = folder.path().join("deep/keys/example.test.keys.json");
            assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
            assert_eq!(
                fs::metadata(path.parent().expect("a folder"))
                    .expect("there")
                    .permissions()
                    .mode()
                    & 0o777,
                0o700
            );
            assert_eq!(keys.read_all(), (vec![stored.clone()], Vec::new()));
        }
        fs::write(folder.path().join("deep/keys/other.keys.json"), "{").expect("written");
        let (read, problems) = keys.read_all();
        assert_eq!((read, problems.len()), (vec![second], 1));
        assert!(problems[0].contains("other.keys.json: not JSON"), "{problems:?}");
        assert_eq!(
            fs::read_dir(folder.path().join("deep/keys")).expect("there").count(),
            2,
            "nothing is left behind"
        );
    }
}
