//! What a person looks at before a job: whether members are reached, how fast, with which program and clock; and what each of them sees of the others.

use crate::NodeError;
use crate::message::{Pong, words};
use crate::node::{Node, now};
use privity_api::Member;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest difference of clocks that is no trouble: certificates and manifests have times.
const CLOCK: i64 = 60;
/// Bytes that bandwidth is measured with.
pub(crate) const PROBE: usize = 512 << 10;
/// For so long what was measured is told to whoever asks, and not measured again for another.
const FRESH: Duration = Duration::from_secs(60);
/// Longest that one member is waited for while links are measured for another.
const SLOWEST: Duration = Duration::from_secs(2);

/// What a node measured of its links, and when: of each project one at a time.
#[derive(Default)]
pub(crate) struct Links(tokio::sync::Mutex<BTreeMap<String, (Instant, BTreeMap<String, f64>)>>);

/// What is found of one member.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// Addresses that its name stands for; empty if it stands for none. Of its relay, if it is reached through one.
    pub addresses: Vec<String>,
    /// Host and port of each relay through which it is reached, with a comma between them.
    #[serde(default)]
    pub relay: Option<String>,
    /// Milliseconds of the fastest of some round trips, connection and handshake included.
    pub round_trip_ms: Option<f64>,
    /// Megabits a second that a message to it reached, connection included.
    pub megabits: Option<f64>,
    /// Its clock less this one, in seconds.
    pub clock: Option<i64>,
    /// Whether it runs the same program.
    pub same_program: Option<bool>,
    /// What it sees of the others: milliseconds of their answers.
    pub sees: BTreeMap<String, u64>,
    /// And megabits a second that its messages to them reached, within the last minute.
    #[serde(default)]
    pub rates: BTreeMap<String, f64>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

impl Node {
    /// Examines all other members of a project.
    ///
    /// # Errors
    /// There is no such project.
    pub async fn examine(self: &Arc<Self>, project: &str) -> Result<BTreeMap<String, Finding>, NodeError> {
        let members = self.project(project).await?.members;
        let others = members.into_iter().filter(|m| m.organisation != self.organisation());
        let tasks: Vec<_> = others
            .map(|member| {
                let node = self.clone();
                tokio::spawn(async move { (member.organisation.clone(), node.examine_one(&member).await) })
            })
            .collect();
        let mut found = BTreeMap::new();
        for task in tasks {
            let (name, finding) = task.await.map_err(|e| NodeError::State(e.to_string()))?;
            found.insert(name, finding);
        }
        // One after the other, and not while this node measures: all may share a link.
        for (name, finding) in found.iter_mut().filter(|(_, finding)| finding.round_trip_ms.is_some()) {
            let member = self.peers.member(project, name).await?;
            match self.peers.ask_member::<_, BTreeMap<String, f64>>(&member, "links", &project).await {
                Ok(rates) => finding.rates = sound(rates),
                Err(e) => finding.problems.push(format!("it does not say what its links reach: {e}")),
            }
        }
        Ok(found)
    }

    /// A member of a project asks what this node's messages to the others reach.
    ///
    /// # Errors
    /// Whoever asks is no member of it.
    pub(crate) async fn receive_links(
        self: &Arc<Self>,
        root: &str,
        project: &str,
    ) -> Result<BTreeMap<String, f64>, NodeError> {
        self.among(root, project).await?;
        let mut known = self.links.0.lock().await;
        known.retain(|_, (at, _)| at.elapsed() < FRESH);
        if let Some((_, rates)) = known.get(project) {
            return Ok(rates.clone());
        }
        let members = self.project(project).await?.members;
        let mut rates = BTreeMap::new();
        for member in
            members.iter().filter(|m| m.organisation != self.organisation() && !self.is_silent(&m.organisation))
        {
            // Whoever asked waits for all of them; who is slow has no figure.
            if let Ok(Ok(rate)) = tokio::time::timeout(SLOWEST, self.probe(member)).await {
                rates.insert(member.organisation.clone(), rate);
            }
        }
        known.insert(project.to_owned(), (Instant::now(), rates.clone()));
        Ok(rates)
    }

    /// Megabits a second that one message reaches, connection included.
    async fn probe(&self, member: &Member) -> Result<f64, NodeError> {
        let started = Instant::now();
        self.peers.send(member, "sink", "0".repeat(PROBE)).await?;
        Ok(8e-6 * PROBE as f64 / started.elapsed().as_secs_f64())
    }

    async fn examine_one(&self, member: &Member) -> Finding {
        let relays = privity_net::relay::relays(&member.address);
        let mut finding = Finding { relay: (!relays.is_empty()).then(|| relays.join(", ")), ..Finding::default() };
        let hosts = if relays.is_empty() { vec![member.address.as_str()] } else { relays.clone() };
        for host in hosts {
            match tokio::net::lookup_host(host).await {
                Ok(addresses) => finding.addresses.extend(addresses.map(|a| a.to_string())),
                Err(e) => finding.problems.push(format!("{host} stands for no address: {e}")),
            }
        }
        if finding.addresses.is_empty() {
            return finding;
        }
        // Where one relay does what the other does not, nobody else would notice.
        for relay in relays.iter().filter(|_| relays.len() > 1) {
            let through = Member { address: format!("relay:{relay}"), ..member.clone() };
            if let Err(e) = self.peers.ping(&through).await {
                finding.problems.push(e.to_string());
            }
        }
        let mut fastest: Option<(Duration, Pong)> = None;
        for _ in 0..3 {
            let started = Instant::now();
            match self.peers.ping(member).await {
                Ok(pong) if fastest.as_ref().is_none_or(|(least, _)| started.elapsed() < *least) => {
                    fastest = Some((started.elapsed(), pong));
                }
                Ok(_) => {}
                Err(e) => {
                    finding.problems.push(e.to_string());
                    return finding;
                }
            }
        }
        let (took, pong) = fastest.expect("three answers");
        finding.round_trip_ms = Some(took.as_secs_f64() * 1e3);
        finding.clock = Some(pong.time.saturating_sub(now()));
        finding.same_program = Some(pong.build == self.build);
        if pong.time.saturating_sub(now()).unsigned_abs() > CLOCK.unsigned_abs() {
            finding.problems.push(format!(
                "its clock differs by {} s from this one; set both by NTP",
                pong.time.saturating_sub(now())
            ));
        }
        if pong.build != self.build {
            let (theirs, ours) = (words(crate::node::short(&pong.build)), crate::node::short(&self.build));
            finding.problems.push(format!(
                "it runs program {theirs}, this node {ours}: attempts will be refused; use the same release"
            ));
        }
        finding.sees = pong.seen.into_iter().filter(|(name, _)| privity_api::is_name(name)).take(64).collect();
        match self.probe(member).await {
            Ok(rate) => finding.megabits = Some(rate),
            Err(e) => finding
                .problems
                .push(format!("a message of {PROBE} bytes does not get through: {e}; look at limits of proxies")),
        }
        finding
    }
}

/// What another says it measured, as it may be shown.
fn sound(rates: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let sound = |(name, rate): &(String, f64)| privity_api::is_name(name) && rate.is_finite() && *rate >= 0.0;
    rates.into_iter().filter(sound).take(64).collect()
}
