//! What a node does by itself: delivers, asks who lives, starts attempts, ends what is over, renews its certificate.

use crate::NodeError;
use crate::job::State;
use crate::message::End;
use crate::node::{Node, now, short};
use crate::store::Stored;
use privity_api::Member;
use privity_job::exit;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between signs of life.
const BEAT: Duration = Duration::from_secs(2);
/// Without a sign of life for so long, a participant of a running job is lost.
pub const LOST: Duration = Duration::from_secs(8);
/// Between tries at an attempt that could not begin.
const AGAIN: Duration = Duration::from_secs(4);

/// Delivers what waits, and looks at jobs, whenever there is something to do and once a second.
pub(crate) async fn work(node: Arc<Node>) {
    let mut tried: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        let _ = tokio::time::timeout(Duration::from_secs(1), node.peers.awake.notified()).await;
        if let Err(e) = node.peers.deliver().await {
            tracing::error!(error = %e, "messages could not be delivered");
        }
        if let Err(e) = node.reload_policy() {
            tracing::error!(error = %e, "the policy stays what it was");
        }
        if let Err(e) = look(&node, &mut tried).await {
            tracing::error!(error = %e, "jobs could not be looked at");
        }
    }
}

/// Ends jobs whose time is over and attempts those that this organisation submitted and that are due.
async fn look(node: &Arc<Node>, tried: &mut BTreeMap<String, Instant>) -> Result<(), NodeError> {
    for stored in node.store.jobs().await? {
        let manifest = &stored.manifest.body;
        let waits = matches!(stored.state, State::Pending | State::Ready | State::Paused);
        if waits && manifest.expires <= now() {
            node.store.set_state(&stored.digest, State::Expired, stored.code, "its time is over", now()).await?;
            continue;
        }
        let due = matches!(stored.state, State::Ready | State::Paused) && manifest.submitter == node.organisation();
        let lately = tried.get(&stored.digest).is_some_and(|at| at.elapsed() < AGAIN);
        if !due || lately || node.draining() {
            continue;
        }
        tried.insert(stored.digest.clone(), Instant::now());
        if let Err(error) = begin(node, &stored).await {
            hinder(node, &stored, &error).await?;
        }
    }
    Ok(())
}

/// An attempt, if all participants are ready for one: a number that was signed is gone.
async fn begin(node: &Arc<Node>, stored: &Stored) -> Result<(), NodeError> {
    let manifest = &stored.manifest.body;
    node.ready(&stored.digest).await?;
    for participant in manifest.job.participants.iter().filter(|p| p.name != node.organisation()) {
        let _: serde_json::Value = node.peers.ask(manifest, &participant.name, "ready", &stored.digest).await?;
    }
    node.attempt(stored).await
}

/// Why an attempt did not begin, for whoever looks. What cannot change ends the job.
async fn hinder(node: &Arc<Node>, stored: &Stored, error: &NodeError) -> Result<(), NodeError> {
    tracing::warn!(job = short(&stored.digest), error = %error, "an attempt did not begin");
    let standing = node.store.job(&stored.digest).await?;
    let differs = matches!(error, NodeError::Differs { .. }) || error.to_string().contains("E2107");
    let used_up = standing.attempt >= stored.manifest.body.attempts;
    let state = if differs || used_up { State::Aborted } else { standing.state };
    if standing.state == State::Running {
        return Ok(());
    }
    node.store.set_state(&stored.digest, state, exit::NETWORK, &error.to_string(), now()).await?;
    if state == State::Aborted {
        let end = End {
            manifest: stored.digest.clone(),
            number: standing.attempt,
            done: false,
            code: exit::NETWORK,
            reason: error.to_string(),
        };
        node.tell_participants(&stored.manifest.body, "end", &end).await?;
    }
    Ok(())
}

/// Asks all members whether they live; what runs with one that does not is stopped.
pub(crate) async fn beat(node: Arc<Node>) {
    let mut since: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        tokio::time::sleep(BEAT).await;
        let members = match node.store.projects().await {
            Ok(projects) => projects.into_iter().flat_map(|(_, p)| p.body.members),
            Err(e) => {
                tracing::error!(error = %e, "members could not be read");
                continue;
            }
        };
        let others: BTreeMap<String, Member> =
            members.filter(|m| m.organisation != node.organisation()).map(|m| (m.organisation.clone(), m)).collect();
        let asked = others.into_iter().map(|(name, member)| {
            let node = node.clone();
            tokio::spawn(async move { (name, node.peers.ping(&member).await.map_err(|e| e.to_string())) })
        });
        let asked: Vec<_> = asked.collect();
        for answer in asked {
            let Ok((name, answer)) = answer.await else { continue };
            match answer {
                Ok(_) => drop(since.remove(&name)),
                Err(why) => {
                    let silent = *since.entry(name.clone()).or_insert_with(Instant::now);
                    if silent.elapsed() + BEAT >= LOST {
                        lose(&node, &name, &why).await;
                    }
                }
            }
        }
    }
}

/// Stops what runs with a participant that does not answer.
async fn lose(node: &Arc<Node>, name: &str, why: &str) {
    let running: Vec<(String, u32)> = node.running().iter().map(|(digest, r)| (digest.clone(), r.number)).collect();
    for (digest, number) in running {
        let Ok(stored) = node.store.job(&digest).await else { continue };
        if stored.manifest.body.job.participants.iter().any(|p| p.name == name) {
            let own = node.organisation().to_owned();
            node.ended(&own, End { manifest: digest, number, done: false, code: exit::NETWORK, reason: why.into() });
        }
    }
}

/// Has members cosign the head of this node's log, and cosigns theirs.
pub(crate) async fn cosign(node: Arc<Node>) {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        if let Err(e) = node.cosign_all().await {
            tracing::warn!(error = %e, "heads of logs could not be cosigned");
        }
    }
}

/// Renews the node's certificate in time.
pub(crate) async fn renew(node: Arc<Node>) {
    loop {
        if let Err(e) = node.renew(false) {
            tracing::error!(error = %e, "the node's certificate could not be renewed");
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}
