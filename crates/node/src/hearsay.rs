//! How an attempt ended at participants that this node does not hear, as those say who do: two that are cut off from each other only report what all others report.

use crate::NodeError;
use crate::message::{End, words};
use crate::node::{Node, Running};
use crate::store::Stored;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Attempts that are over of which what was heard is remembered: others may ask a little later.
const REMEMBERED: usize = 64;
/// How long one is waited for who is asked: longer than the first of two relays is.
const ANSWER: Duration = Duration::from_secs(3);

/// What was heard of attempts that are over here, the newest last.
pub(crate) type Past = VecDeque<(String, u32, BTreeMap<String, End>)>;

/// What a participant knows of an attempt's end.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// What participants said to it themselves, and what it says itself.
    pub ends: BTreeMap<String, End>,
    /// Who answers there and has said nothing yet.
    pub awaited: BTreeSet<String>,
}

impl Node {
    /// The node with this root asks how an attempt ended at all whom this one hears.
    ///
    /// # Errors
    /// The job is unknown, or none of its.
    pub(crate) async fn receive_ends(&self, root: &str, (digest, number): &(String, u32)) -> Result<Known, NodeError> {
        let stored = self.store.job(digest).await?;
        let manifest = &stored.manifest.body;
        if crate::attempt::participant_of(manifest, root).is_none() {
            return Err(NodeError::Stranger { who: root.into(), project: manifest.project.clone() });
        }
        if let Some(running) = self.running().get(digest).filter(|running| running.number == *number) {
            let awaited = missing(&stored, running).into_iter().filter(|name| self.hears(running, name));
            return Ok(Known { awaited: awaited.collect(), ends: running.ends.clone() });
        }
        let past = crate::lock(&self.past);
        let known = past.iter().find(|(of, attempt, _)| of == digest && attempt == number);
        Ok(Known { ends: known.map(|(.., ends)| ends.clone()).unwrap_or_default(), awaited: BTreeSet::new() })
    }

    /// Nobody waits for the words of whom neither engines nor nodes hear.
    pub(crate) fn hears(&self, running: &Running, name: &str) -> bool {
        !running.lost.contains(name) && !self.is_silent(name)
    }

    /// Asks the others what those said whom this node does not hear. Whether somebody is still to say something to one of the others. Whoever answers could make
    /// words up: they are kept apart, count where there is nothing better, and are not passed on.
    pub(crate) async fn ask_ends(self: &Arc<Self>, stored: &Stored, number: u32) -> bool {
        let (missing, asked) = match self.running().get(&stored.digest) {
            Some(running) => {
                let heard = |name: &String| name != self.organisation() && self.hears(running, name);
                let names = names(stored).filter(|name| running.ends.contains_key(name));
                (missing(stored, running), names.filter(heard).collect::<Vec<_>>())
            }
            None => return false,
        };
        let asking = asked.into_iter().map(|name| {
            let (node, project) = (self.clone(), stored.manifest.body.project.clone());
            let question = (stored.digest.clone(), number);
            tokio::spawn(async move {
                let member = node.peers.member(&project, &name).await?;
                let known = tokio::time::timeout(ANSWER, node.peers.ask_member::<_, Known>(&member, "ends", &question));
                known.await.unwrap_or_else(|_| Ok(Known::default()))
            })
        });
        let asking: Vec<_> = asking.collect();
        let mut awaited = false;
        for known in asking {
            let Ok(Ok(known)) = known.await else { continue };
            let mut all = self.running();
            let Some(running) = all.get_mut(&stored.digest) else { return false };
            for name in &missing {
                let said = known.ends.get(name).filter(|end| end.manifest == stored.digest && end.number == number);
                if let Some(end) = said {
                    let end = End { reason: words(&end.reason), ..end.clone() };
                    running.told.entry(name.clone()).or_insert(end);
                }
                let known_by_now = running.ends.contains_key(name) || running.told.contains_key(name);
                awaited |= known.awaited.contains(name) && !known_by_now;
            }
        }
        awaited
    }

    /// Keeps what was heard of an attempt that is about to be over.
    pub(crate) fn remember(&self, digest: &str) {
        let Some((number, ends)) = self.running().get(digest).map(|running| (running.number, running.ends.clone()))
        else {
            return;
        };
        // Of what never began there is nothing to remember.
        if !ends.is_empty() {
            let mut past = crate::lock(&self.past);
            past.push_back((digest.to_owned(), number, ends));
            let surplus = past.len().saturating_sub(REMEMBERED);
            past.drain(..surplus);
        }
    }
}

fn names(stored: &Stored) -> impl Iterator<Item = String> {
    stored.manifest.body.job.participants.iter().map(|p| p.name.clone())
}

/// How an attempt ended at each participant, as it said itself or, where it is not heard, as others say.
pub(crate) fn merged(running: &Running) -> BTreeMap<String, End> {
    let mut all = running.told.clone();
    all.extend(running.ends.clone());
    all
}

/// Participants that have not said themselves how it ended; without whoever the others went on without.
pub(crate) fn missing(stored: &Stored, running: &Running) -> Vec<String> {
    let without = running.without.as_ref().map(|without| without.lost.as_str());
    let missing = names(stored).filter(|name| !running.ends.contains_key(name) && without != Some(name.as_str()));
    missing.collect()
}
