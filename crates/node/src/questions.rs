//! Public questions of jobs that publish answers: every participant keeps the file in `questions` of its node's directory, under the name that the manifest has.
//! Its digest stands there, too, and no other file is taken for it.

use crate::message::words;
use crate::node::{Node, now};
use crate::{NodeError, home};
use privity_api::{Manifest, ManifestError, Time, is_name};
use privity_job::{Job, JobFile};
use std::path::{Path, PathBuf};

/// What a manifest's job is, looked up in a folder of questions for the organisation whose they are.
struct Looked<'a> {
    folder: &'a Path,
    organisation: &'a str,
}

impl Looked<'_> {
    /// Whether the file is here, and the one that is meant.
    ///
    /// # Errors
    /// In words for other organisations, too. A person here can put the file there, and the job goes on.
    fn file(&self, name: &str, digest: Option<&str>) -> Result<(), NodeError> {
        let missing = |what: &str| {
            let which = digest.map_or(String::new(), |digest| format!(" whose BLAKE3 is {}", words(digest)));
            Err(NodeError::State(format!(
                "{}: the file of public questions `{}`{which} {what} `questions` of its node's directory; put it there",
                self.organisation,
                words(name)
            )))
        };
        if !is_name(name) {
            return Err(NodeError::State(format!(
                "distillation.questions is `{}`: put the file into `questions` of every participant's node directory, and write its name without a path",
                words(name)
            )));
        }
        match std::fs::read(self.folder.join(name)) {
            Ok(bytes) if digest.is_none_or(|digest| blake3::hash(&bytes).to_hex().as_str() == digest) => Ok(()),
            Ok(_) => missing("is not the one of that name in"),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => missing("is not in"),
            Err(e) => Err(NodeError::file(&self.folder.join(name), "reading", e)),
        }
    }

    /// A problem in words that do not tell where this node has its directory.
    fn told(&self, error: impl ToString) -> NodeError {
        let problem = error.to_string().replace(&self.folder.display().to_string(), "questions");
        NodeError::Manifest(ManifestError::Form { problem })
    }

    fn check(&self, manifest: &Manifest, now: Time) -> Result<Job, NodeError> {
        if let Some(asked) = &manifest.job.distillation {
            self.file(&asked.questions, asked.digest.as_deref())?;
        }
        manifest.check_with(now, self.folder).map_err(|e| self.told(e))
    }

    fn job(&self, file: JobFile) -> Result<Job, NodeError> {
        if let Some(asked) = &file.distillation {
            self.file(&asked.questions, asked.digest.as_deref())?;
        }
        Job::new(file, self.folder).map_err(|e| self.told(e))
    }
}

impl Node {
    /// Does something with the folder of questions where it keeps nothing else waiting: files are read.
    async fn look<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Looked) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let (folder, organisation): (PathBuf, String) = (home::questions(&self.home), self.organisation().to_owned());
        let looking =
            tokio::task::spawn_blocking(move || what(&Looked { folder: &folder, organisation: &organisation }));
        looking.await.map_err(|e| NodeError::Internal(e.to_string()))?
    }

    /// The job of a manifest, if everything in it makes sense now.
    ///
    /// # Errors
    /// The first field that does not; the file of its public questions is not here.
    pub(crate) async fn check(&self, manifest: &Manifest) -> Result<Job, NodeError> {
        if manifest.job.distillation.is_none() {
            return Ok(manifest.check(now())?);
        }
        let (manifest, now) = (manifest.clone(), now());
        self.look(move |looked| looked.check(&manifest, now)).await
    }

    /// A job by itself, whatever the time.
    ///
    /// # Errors
    /// What is wrong with it; the file of its public questions is not here.
    pub(crate) async fn job_of(&self, file: JobFile) -> Result<Job, NodeError> {
        if file.distillation.is_none() {
            return Ok(Job::new(file, Path::new("/nonexistent")).map_err(ManifestError::Job)?);
        }
        self.look(move |looked| looked.job(file)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_file_that_is_meant_is_taken() {
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::write(folder.path().join("public.csv"), "x\n1\n").expect("written");
        let looked = Looked { folder: folder.path(), organisation: "bank-b" };
        let digest = blake3::hash(b"x\n1\n").to_hex().to_string();
        looked.file("public.csv", Some(&digest)).expect("it is");
        looked.file("public.csv", None).expect("whatever is there");
        let other = "0".repeat(64);
        for (name, digest, words) in [
            ("public.csv", Some(other.as_str()), "is not the one of that name"),
            ("absent.csv", Some(digest.as_str()), "is not in `questions`"),
            ("../public.csv", None, "without a path"),
            ("/etc/passwd", None, "without a path"),
            ("", None, "without a path"),
        ] {
            let error = looked.file(name, digest).expect_err(name);
            assert!(error.for_others().contains(words), "{error}");
            assert!(!error.to_string().contains(&folder.path().display().to_string()), "{error}");
        }
        let told = looked.told(format!("{}: no", folder.path().join("public.csv").display()));
        assert_eq!(told.to_string(), "E3001 this is no manifest: questions/public.csv: no");
    }
}
