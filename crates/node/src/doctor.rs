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
        Ok(found)
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
        let started = Instant::now();
        match self.peers.send(member, "sink", "0".repeat(PROBE)).await {
            Ok(_) => finding.megabits = Some(8e-6 * PROBE as f64 / started.elapsed().as_secs_f64()),
            Err(e) => finding
                .problems
                .push(format!("a message of {PROBE} bytes does not get through: {e}; look at limits of proxies")),
        }
        finding
    }
}
