//! What happened to a job, from the logs of all its participants: each tells of its own what concerns the job, which has no place for data.

use crate::NodeError;
use crate::attempt::participant_of;
use crate::message::words;
use crate::node::Node;
use privity_api::{Decision, Manifest, Record, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many of an organisation's moments are shown, the latest.
const MOST: usize = 1000;
/// So many entries of a log are looked through, the latest.
const LOOKED: u64 = 50_000;

/// Something that an organisation's log says happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Whose log.
    pub organisation: String,
    /// When, by its clock.
    #[schema(value_type = i64)]
    pub at: Time,
    /// What.
    pub what: String,
}

/// What is known of a job.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Timeline {
    /// In the order of their times; clocks may differ.
    pub moments: Vec<Moment>,
    /// Participants that did not tell, and why not.
    pub silent: BTreeMap<String, String>,
}

fn what(record: &Record) -> Option<String> {
    Some(match record {
        Record::Submitted { submitter, .. } => format!("a manifest of {submitter} is known"),
        Record::Decided { organisation, decision, by, .. } => {
            let decides = if *decision == Decision::Approve { "approves" } else { "denies" };
            format!("{organisation} {decides}, by {}", by.join(", "))
        }
        Record::Spent { epsilon_milli, .. } => {
            format!("{epsilon_milli} thousandths of epsilon are taken of the privacy budget")
        }
        Record::Attempt { number, parameters, .. } => {
            let lanes = parameters.iter().find(|(name, lanes)| name == crate::attempt::LANES && lanes != "1");
            let lanes = lanes.map_or(String::new(), |(_, lanes)| format!(", in {lanes} lanes"));
            format!("attempt {number} is signed{lanes}")
        }
        Record::Session { number, session, .. } => {
            format!("attempt {number}: session {} stands", session.get(..12).unwrap_or(session))
        }
        Record::Opening { number, what, .. } => format!("attempt {number} opens {what}"),
        Record::Lost { number, lost, security, .. } => {
            format!("attempt {number}: {lost} is lost, as all others state; from then on: {security}")
        }
        Record::Ended { number: 0, end, reason, .. } => format!("it is {end} without an attempt: {reason}"),
        Record::Ended { number, end, code, reason, .. } => {
            format!("attempt {number} is {end} (exit code {code}): {reason}")
        }
        _ => return None,
    })
}

/// The latest of a log's moments. Where earlier ones are not among them, the first says so.
fn latest(mut moments: Vec<Moment>, whole: bool, organisation: &str) -> Vec<Moment> {
    if whole && moments.len() <= MOST {
        return moments;
    }
    let mut moments = moments.split_off(moments.len().saturating_sub(MOST - 1));
    let at = moments.first().map_or(0, |first| first.at);
    let what = "what came before is not shown: `privity audit trace` reads whole logs".into();
    moments.insert(0, Moment { organisation: organisation.into(), at, what });
    moments
}

impl Node {
    /// What this node's log says of a job.
    async fn moments(&self, manifest: String) -> Result<Vec<Moment>, NodeError> {
        let (log, organisation) = (self.log.clone(), self.organisation().to_owned());
        let read = move || -> Result<Vec<Moment>, privity_audit::AuditError> {
            let size = log.size();
            let (mut from, mut moments) = (size.saturating_sub(LOOKED), Vec::new());
            let mut whole = from == 0;
            while from < size {
                let entries = log.entries(from..size)?;
                from += entries.len().max(1) as u64;
                for entry in entries.iter().filter(|entry| entry.record.manifest() == Some(&manifest)) {
                    whole |= matches!(entry.record, Record::Submitted { .. });
                    let told = what(&entry.record).map(|what| words(&what));
                    moments.extend(told.map(|what| Moment { organisation: organisation.clone(), at: entry.at, what }));
                }
            }
            Ok(latest(moments, whole, &organisation))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|e| NodeError::Internal(e.to_string()))?;
        read.map_err(|e| NodeError::Audit(e.to_string()))
    }

    /// What the node of a participant asks.
    ///
    /// # Errors
    /// Whoever asks has nothing to do with the job.
    pub(crate) async fn receive_timeline(&self, root: &str, digest: &str) -> Result<Vec<Moment>, NodeError> {
        let stored = self.store.job(digest).await?;
        let manifest = &stored.manifest.body;
        match participant_of(manifest, root) {
            Some(_) => self.moments(stored.digest).await,
            None => Err(NodeError::Stranger { who: root.into(), project: manifest.project.clone() }),
        }
    }

    /// What the logs of all participants say of a job.
    ///
    /// # Errors
    /// No such job; the own log cannot be read.
    pub(crate) async fn timeline(self: &Arc<Self>, name: &str) -> Result<Timeline, NodeError> {
        let stored = self.store.find_job(name).await?;
        let mut timeline = Timeline { moments: self.moments(stored.digest.clone()).await?, ..Timeline::default() };
        for (name, told) in self.ask_moments(&stored.manifest.body, &stored.digest).await? {
            match told {
                Ok(moments) => timeline.moments.extend(moments),
                Err(error) => drop(timeline.silent.insert(name, error.to_string())),
            }
        }
        timeline.moments.sort_by_key(|moment| moment.at);
        Ok(timeline)
    }

    async fn ask_moments(
        self: &Arc<Self>,
        manifest: &Manifest,
        digest: &str,
    ) -> Result<Vec<(String, Result<Vec<Moment>, NodeError>)>, NodeError> {
        let (mut asked, mut gone) = (Vec::new(), Vec::new());
        for participant in manifest.job.participants.iter().filter(|p| p.name != self.organisation()) {
            let member = match self.peers.member(&manifest.project, &participant.name).await {
                Ok(member) => member,
                // It was removed, or this organisation left the project.
                Err(error @ NodeError::Missing { .. }) => {
                    gone.push((participant.name.clone(), Err(error)));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (node, digest) = (self.clone(), digest.to_owned());
            asked.push(tokio::spawn(async move {
                let told = node.peers.ask_member::<_, Vec<Moment>>(&member, "timeline", &digest).await;
                // In whose name it speaks is known, and its words are its own.
                let own = |moment: Moment| Moment {
                    organisation: member.organisation.clone(),
                    at: moment.at,
                    what: words(&moment.what),
                };
                let told = told.map(|moments| moments.into_iter().take(MOST).map(own).collect());
                (member.organisation.clone(), told)
            }));
        }
        let mut told = gone;
        for answer in asked {
            told.push(answer.await.map_err(|e| NodeError::Internal(e.to_string()))?);
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_a_log_is_said() {
        let moments = |count: usize| -> Vec<Moment> {
            (0..count).map(|at| Moment { organisation: "a".into(), at: at as Time, what: format!("{at}") }).collect()
        };
        assert_eq!(latest(moments(MOST), true, "a"), moments(MOST));
        let cut = latest(moments(MOST + 1), true, "a");
        assert_eq!(cut.len(), MOST);
        assert!(cut[0].what.contains("before is not shown") && cut[1].what == "2" && cut[0].at == 2, "{:?}", &cut[..2]);
        let began_before = latest(moments(3), false, "a");
        assert!(began_before[0].what.contains("before is not shown"));
        assert_eq!(began_before[1..], moments(3));
        assert_eq!(latest(Vec::new(), false, "a").len(), 1);
    }
}
