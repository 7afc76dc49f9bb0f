//! What three of four parties do when the fourth is gone and the job says `on_loss = "continue"`: each looks who answers, signs
//! what it found, and only if all three name the same party they go on, under an amendment that each derives from the job.

use crate::run::peers;
use crate::{ConfigError, Hooks, Job, JobError, write};
use privity_net::NetError;
use privity_net::identity::{Identity, Revocations, Signed};
use privity_net::tls::{Limits, Presence, TlsConfig, council};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a party looks for the others. A party that is frozen has been silent for the link's own limit before.
const WINDOW: Duration = Duration::from_secs(4);
/// What the signatures are for.
const PURPOSE: &str = "loss of a party";
/// Name of the record of a loss in a party's output directory.
const RECORD: &str = "loss.json";
/// Name of the job file by which the three go on.
pub(crate) const AMENDMENT: &str = "continued.toml";

/// What a party says in the council: which party alone did not answer it, and its signature under that.
#[derive(Serialize, Deserialize)]
struct Word {
    lost: Option<String>,
    certificate: Vec<u8>,
    signature: Vec<u8>,
}

/// A signed statement, as kept for whoever asks later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Who made it.
    pub by: String,
    /// The signed words.
    pub statement: String,
    /// In DER, hexadecimal.
    pub certificate: String,
    /// Hexadecimal.
    pub signature: String,
}

/// The record of a loss: all three statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Digest of the job of four.
    pub job: String,
    /// The session that failed.
    pub session: String,
    /// Who is gone.
    pub lost: String,
    /// Of the three others.
    pub statements: Vec<Statement>,
}

impl Loss {
    /// Whether each of the three others of the job signed that this party was lost. What a node signed counts while its certificate
    /// is valid.
    pub fn holds(&self, job: &Job) -> bool {
        let others = job.file().participants.iter().filter(|p| p.name != self.lost);
        let mut stated = others.map(|p| {
            let expected = words(&self.job, &self.session, &self.lost, &p.name);
            self.statements.iter().any(|s| {
                let signed = Signed { certificate: unhex(&s.certificate), signature: unhex(&s.signature) };
                let (pinned, words) = (p.fingerprint.as_deref().unwrap_or_default(), expected.as_bytes());
                s.statement == expected
                    && signed.by_party(pinned, PURPOSE, words, None, &Revocations::default()).is_ok()
            })
        });
        self.job == job.digest_hex() && job.index(&self.lost).is_ok() && stated.all(|stated| stated)
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    digits.unwrap_or_default().chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The words that are signed: bound to the job and to the session that failed, so that they say nothing of any other.
fn words(job: &str, session: &str, lost: &str, by: &str) -> String {
    format!("In session {session} of job {job}, {by} states: {lost} did not answer, and the two others did.\n")
}

/// What a council needs to be that of this session and no other.
fn config(job: &Job, me: usize, identity: Arc<Identity>, session: &str, hooks: &Hooks) -> TlsConfig {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 council of a job's session");
    hasher.update(&hooks.digest(job)).update(session.as_bytes());
    let limits = Limits { connect: WINDOW, ..Limits::default() };
    TlsConfig {
        me,
        peers: peers(job),
        identity,
        job: *hasher.finalize().as_bytes(),
        limits,
        unprotected: false,
        host: hooks.host.clone(),
    }
}

/// This party's words about those that did not come; and who they are.
fn speak(
    job: &Job,
    me: usize,
    identity: &Identity,
    absent: &[usize],
    session: &str,
) -> Result<(Word, Vec<usize>), NetError> {
    let names = job.names();
    let lost = if let [only] = absent { Some(names[*only].clone()) } else { None };
    let statement = words(&job.digest_hex(), session, lost.as_deref().unwrap_or("nobody"), &names[me]);
    let signed = identity.sign(PURPOSE, statement.as_bytes())?;
    Ok((Word { lost, certificate: signed.certificate, signature: signed.signature }, absent.to_vec()))
}

/// Looks who is gone after a session has failed. The loss if all three others agree on it, else why not.
pub(crate) fn agree(
    job: &Job,
    me: usize,
    identity: Arc<Identity>,
    session: &str,
    hooks: &Hooks,
) -> Result<Result<Loss, String>, JobError> {
    let names = job.names();
    let mut said = None;
    let presence = council(config(job, me, identity, session, hooks), WINDOW, |identity, absent| {
        let (word, absent) = speak(job, me, identity, absent, session)?;
        let bytes = serde_json::to_vec(&word).expect("plain data with text keys serialises");
        said = Some((word, absent));
        Ok(bytes)
    });
    let presence = presence.map_err(JobError::Net)?;
    let Some((mine, absent)) = said else { return Err(JobError::Internal("a council without own words".into())) };
    let Some(lost) = mine.lost.clone() else {
        let absent: Vec<&str> = absent.iter().map(|p| names[*p].as_str()).collect();
        return Ok(Err(match absent.is_empty() {
            true => "all parties answer".into(),
            false => format!("{} do not answer", absent.join(", ")),
        }));
    };
    let mut spoken = vec![(me, mine)];
    for (peer, presence) in presence.into_iter().enumerate().filter(|(peer, _)| *peer != me && !absent.contains(peer)) {
        let word: Option<Word> = match presence {
            Presence::Spoke(bytes) => serde_json::from_slice(&bytes).ok(),
            Presence::Alive | Presence::Absent => None,
        };
        match word {
            Some(word) if word.lost.as_ref() == Some(&lost) => spoken.push((peer, word)),
            _ => return Ok(Err(format!("{} does not say that {lost} is lost", names[peer]))),
        }
    }
    let digest = job.digest_hex();
    let statement = |(by, word): (usize, Word)| Statement {
        by: names[by].clone(),
        statement: words(&digest, session, &lost, &names[by]),
        certificate: to_hex(&word.certificate),
        signature: to_hex(&word.signature),
    };
    let statements = spoken.into_iter().map(statement).collect();
    let loss = Loss { job: digest.clone(), session: session.into(), lost: lost.clone(), statements };
    match loss.holds(job) {
        true => Ok(Ok(loss)),
        false => Ok(Err(format!("a statement that {lost} is lost is not signed as it must be"))),
    }
}

/// The amendment, with the record of the loss and the job file both written to `out`.
pub(crate) fn amend(job: &Job, loss: &Loss, out: &Path) -> Result<(Job, PathBuf), JobError> {
    let amended = job.without(job.index(&loss.lost)?)?;
    let json = serde_json::to_vec_pretty(loss).map_err(|e| JobError::Internal(e.to_string()))?;
    write::atomically(out, RECORD, &json)?;
    let path = write::atomically(out, AMENDMENT, amended.agreed().to_toml()?.as_bytes())?;
    Ok((amended, path))
}

/// A job cannot go on without this party.
pub(crate) fn needed(name: &str, what: &str) -> ConfigError {
    let problem = format!("names {name} alone, who is lost");
    ConfigError::field(what, problem, "resume with all four, or agree on an amendment that names another")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobFile;
    use privity_net::tls::loopback_listener;
    use std::collections::BTreeSet;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    const SESSION: &str = "5e55";

    /// An address that no other job here has: several run at a time.
    fn free() -> SocketAddr {
        static TAKEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
        let mut candidates = std::iter::repeat_with(|| loopback_listener().unwrap().local_addr().unwrap());
        candidates.find(|address| TAKEN.lock().unwrap().insert(*address)).unwrap()
    }

    /// A job of four on free loopback ports.
    fn job() -> (Job, Vec<Identity>) {
        let names = ["a", "b", "c", "d"];
        let identities: Vec<Identity> = names.iter().map(|name| Identity::generate(name).unwrap()).collect();
        let participant = |(name, identity): (&&str, &Identity)| {
            let address = free();
            let (fingerprint, rows) = (identity.fingerprint(), if *name == "d" { 0 } else { 10 });
            format!(
                "[[participants]]\nname = \"{name}\"\naddress = \"{address}\"\nfingerprint = \"{fingerprint}\"\nrows = {rows}\n"
            )
        };
        let participants: String = names.iter().zip(&identities).map(participant).collect();
        let text = format!(
            "name = \"small\"\nprotocol = \"rep4\"\non_loss = \"continue\"\nafter_loss = \"passive\"\naccept = \"{}\"\n{participants}\
             [data.schema]\ncolumns = [{{ name = \"x\", kind = \"number\", min = 0, max = 1 }}, {{ name = \"y\", kind = \"label\" }}]\n\
             [model]\nkind = \"logistic\"\n",
            crate::file::ACCEPTED
        );
        let file = JobFile::from_toml(&text).expect("a job file");
        (Job::new(file, Path::new("")).expect("a job"), identities)
    }

    /// What the named parties come to; `liar` says what `lie` makes of its own words.
    fn councils(
        present: &[usize],
        liar: Option<usize>,
        lie: impl Fn(Word, &Identity) -> Word + Sync,
    ) -> Vec<Result<Loss, String>> {
        let (job, identities) = job();
        let (job, lie) = (&job, &lie);
        std::thread::scope(|s| {
            let come = |(me, identity): (usize, Identity)| {
                let identity = Arc::new(identity);
                s.spawn(move || match liar == Some(me) {
                    false => agree(job, me, identity, SESSION, &Hooks::default()).expect("a council"),
                    true => {
                        let speak = |identity: &Identity, absent: &[usize]| {
                            let (word, _) = speak(job, me, identity, absent, SESSION)?;
                            Ok(serde_json::to_vec(&lie(word, identity)).unwrap())
                        };
                        council(config(job, me, identity, SESSION, &Hooks::default()), WINDOW, speak)
                            .map(|_| Err("a liar".into()))
                            .expect("a council")
                    }
                })
            };
            let coming = identities.into_iter().enumerate().filter(|(me, _)| present.contains(me));
            let running: Vec<_> = coming.map(come).collect();
            let heard: Vec<_> = running.into_iter().map(|thread| thread.join().unwrap()).collect();
            heard.iter().flatten().for_each(|loss| assert!(loss.holds(job)));
            heard
        })
    }

    #[test]
    fn three_that_miss_the_same_party_agree_and_no_lie_makes_them() {
        let honest = |word: Word, _: &Identity| word;
        let says_c = |mut word: Word, identity: &Identity| {
            let signed = identity.sign(PURPOSE, words("", SESSION, "c", "d").as_bytes()).unwrap();
            (word.lost, word.signature) = (Some("c".into()), signed.signature);
            word
        };
        let denies = |mut word: Word, _: &Identity| {
            word.lost = None;
            word
        };
        let forges = |mut word: Word, _: &Identity| {
            let other = Identity::generate("b").unwrap().sign(PURPOSE, b"").unwrap();
            (word.certificate, word.signature) = (other.certificate, other.signature);
            word
        };
        let twists = |mut word: Word, _: &Identity| {
            word.signature[9] ^= 1;
            word
        };
        let lies: [&(dyn Fn(Word, &Identity) -> Word + Sync); 3] = [&denies, &forges, &twists];
        // Each waits for who does not come: all at a time.
        let (three, four, lied_to, two) = std::thread::scope(|s| {
            let three = s.spawn(|| councils(&[0, 1, 3], None, honest));
            let four = s.spawn(|| councils(&[0, 1, 2, 3], Some(3), says_c));
            let lied_to = lies.map(|lie| s.spawn(move || councils(&[0, 1, 3], Some(1), lie)));
            let two = councils(&[1, 2], None, honest);
            (three.join().unwrap(), four.join().unwrap(), lied_to.map(|council| council.join().unwrap()), two)
        });
        for (party, verdict) in three.into_iter().enumerate() {
            let loss = verdict.unwrap_or_else(|why| panic!("{party}: {why}"));
            assert_eq!((loss.lost.as_str(), loss.statements.len()), ("c", 3));
        }
        // All are there: one liar cannot have another thrown out, and does not get the honest to disagree with each other.
        assert!(four[..3].iter().all(|v| v.as_ref().is_err_and(|why| why == "all parties answer")), "{four:?}");
        // One is gone, and another denies it, signs other words, or signs with another key.
        for verdicts in lied_to {
            assert!(verdicts[0].is_err() && verdicts[2].is_err(), "{verdicts:?}");
        }
        // Two are gone: that is no loss that can be made up for.
        for verdict in two {
            assert_eq!(verdict.unwrap_err(), "a, d do not answer");
        }
    }
}
