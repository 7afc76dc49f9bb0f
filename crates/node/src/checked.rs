//! Which files of models were read for which job and are what was registered, so that whoever asks again has nothing read.

use crate::lock;
use crate::model::Registered;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

/// Most checks that are remembered.
const MOST: usize = 64;

/// A job, and each of its files: what was registered, and how long and how old it is now.
pub(crate) type Key = (String, Vec<(Registered, u64, SystemTime)>);

/// Checks that went well. An engine compares what it reads with what was registered whatever stands here.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Held while files are read.
    pub reading: tokio::sync::Mutex<()>,
    last: Mutex<VecDeque<Key>>,
}

/// What a check is known by; nothing where a file cannot be looked at.
pub(crate) fn key(job: &str, files: &[Registered]) -> Option<Key> {
    let of = |file: &Registered| {
        let found = std::fs::metadata(&file.path).ok().filter(std::fs::Metadata::is_file)?;
        Some((file.clone(), found.len(), found.modified().ok()?))
    };
    Some((job.to_owned(), files.iter().map(of).collect::<Option<_>>()?))
}

impl Checked {
    pub(crate) fn has(&self, key: &Key) -> bool {
        lock(&self.last).contains(key)
    }

    pub(crate) fn put(&self, key: Key) {
        let mut last = lock(&self.last);
        last.push_back(key);
        if last.len() > MOST {
            last.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_file_that_was_changed_is_read_again() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("model.json");
        std::fs::write(&path, "one").expect("written");
        let registered = |digest: &str| {
            let path = path.display().to_string();
            [Registered { path, bytes: 3, digest: digest.into(), model: "m".into() }]
        };
        let checked = Checked::default();
        let first = key("job", &registered("d")).expect("a file");
        assert!(!checked.has(&first));
        checked.put(first.clone());
        assert!(checked.has(&key("job", &registered("d")).expect("a file")));
        assert!(!checked.has(&key("other job", &registered("d")).expect("a file")));
        assert!(!checked.has(&key("job", &registered("registered anew")).expect("a file")));
        std::fs::write(&path, "two").expect("written");
        let later = SystemTime::now() + Duration::from_secs(5);
        std::fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(later)).expect("a later time");
        assert!(!checked.has(&key("job", &registered("d")).expect("a file")));
        (0..MOST).for_each(|_| checked.put(("job".into(), Vec::new())));
        assert!(!checked.has(&first), "the oldest is forgotten");
        std::fs::remove_file(&path).expect("removed");
        assert!(key("job", &registered("d")).is_none());
    }
}
