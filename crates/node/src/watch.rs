//! What a node does by itself: delivers, asks who lives, starts attempts, ends what is over, renews its certificate.

use crate::NodeError;
use crate::job::State;
use crate::message::{End, words};
use crate::node::{Node, instant, now};
use crate::queue::{Counts, Tenants, Waiting};
use crate::store::Stored;
use privity_job::exit;
use privity_job::file::OnLoss;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// Between signs of life.
const BEAT: Duration = Duration::from_secs(2);
/// How long a sign of life may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);
/// Without a sign of life for so long, a participant of a running job is lost.
pub const LOST: Duration = Duration::from_secs(8);
/// Without a sign of life for so long, it is lost also where the engines were to state that, and have not.
const COUNCIL: Duration = Duration::from_secs(20);
/// Between tries at an attempt that could not begin, at first and at last.
const AGAIN: Duration = Duration::from_secs(4);
const SELDOM: Duration = Duration::from_secs(30);

/// Delivers what waits, and looks at jobs, whenever there is something to do and once a second.
pub(crate) async fn work(node: Arc<Node>) {
    let (tries, mut policy, mut budgets) = (Arc::new(Tries::default()), Told::default(), Told::default());
    loop {
        let _ = tokio::time::timeout(Duration::from_secs(1), node.peers.awake.notified()).await;
        if let Err(e) = crate::peer::deliver(&node).await {
            tracing::error!(error = %e, "messages could not be delivered");
        }
        let reloaded = node.reload_policy();
        if policy.is_news(&reloaded, || crate::policy::changed(&node.home))
            && let Err(e) = reloaded
        {
            tracing::error!(error = %e, "the policy stays what it was");
        }
        let noted = node.note_budgets();
        if budgets.is_news(&noted, || None)
            && let Err(e) = noted
        {
            tracing::error!(error = %e, "a privacy budget is not what it may be: jobs of its project do not begin");
        }
        if let Err(e) = look(&node, &tries).await {
            tracing::error!(error = %e, "jobs could not be looked at");
        }
    }
}

/// What was told last of trouble with a file that is looked at again and again: once for each change of it.
#[derive(Default)]
struct Told(Option<(String, Option<SystemTime>)>);

impl Told {
    fn is_news<T>(&mut self, done: &Result<T, NodeError>, changed: impl Fn() -> Option<SystemTime>) -> bool {
        let now = done.as_ref().err().map(|error| (error.to_string(), changed()));
        let news = now.is_some() && now != self.0;
        self.0 = now;
        news
    }
}

/// Jobs that were asked for, and whose turn it is.
#[derive(Default)]
struct Tries {
    asked: Mutex<BTreeMap<String, Asked>>,
    tenants: Mutex<Tenants>,
}

/// A job whose attempt is on its way to begin, or did not begin.
#[derive(Default)]
struct Asked {
    /// When it is tried again; none while it is on its way.
    at: Option<Instant>,
    /// How long it waited last.
    wait: Duration,
    /// At whom it waits for a place: those behind it in the queue do not pass it there.
    waits_at: Option<String>,
}

/// An attempt on its way. If what asks for it ends without a word, by a fault of this program, the job is tried again all the same.
struct Going {
    tries: Arc<Tries>,
    digest: String,
    told: bool,
}

impl Going {
    fn began(mut self, project: &str) {
        self.told = true;
        self.tries.began(&self.digest, project);
    }
    fn hindered(mut self, busy_at: Option<&str>) {
        self.told = true;
        self.tries.hindered(&self.digest, busy_at);
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if !self.told {
            self.tries.hindered(&self.digest, None);
        }
    }
}

impl Tries {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Asked>> {
        crate::lock(&self.asked)
    }
    fn begin(self: &Arc<Self>, digest: &str) -> Going {
        self.all().entry(digest.to_owned()).or_default().at = None;
        Going { tries: self.clone(), digest: digest.to_owned(), told: false }
    }
    fn began(&self, digest: &str, project: &str) {
        self.all().remove(digest);
        crate::lock(&self.tenants).began(project);
    }
    /// Whoever only waits for a place asks again soon, so as to stay in the queue; what is hindered asks less and less often.
    fn hindered(&self, digest: &str, busy_at: Option<&str>) {
        let mut all = self.all();
        let asked = all.entry(digest.to_owned()).or_default();
        asked.wait = if busy_at.is_some() { AGAIN } else { (2 * asked.wait).clamp(AGAIN, SELDOM) };
        asked.at = Some(instant() + asked.wait);
        asked.waits_at = busy_at.map(str::to_owned);
    }

    /// The jobs that a node asks for now.
    fn next<'a>(&self, node: &Node, queue: &'a [Waiting]) -> Vec<&'a Waiting> {
        let ours: Vec<&Waiting> = queue.iter().filter(|job| job.submitter == node.organisation()).collect();
        let running = node.numbers_running();
        let mut all = self.all();
        all.retain(|digest, asked| {
            asked.at.is_none() || ours.iter().any(|job| job.digest == *digest && job.state != State::Running)
        });
        let asking = |job: &&&Waiting| all.get(&job.digest).is_some_and(|asked| asked.at.is_none());
        let count = |jobs: Vec<&&Waiting>| {
            let mut counts = Counts::new();
            jobs.into_iter().for_each(|job| *counts.entry(job.project.clone()).or_default() += 1);
            counts
        };
        let runs = |job: &&&Waiting| running.iter().any(|(digest, _)| *digest == job.digest);
        let counts = (count(ours.iter().filter(runs).collect()), count(ours.iter().filter(asking).collect()));
        // One more than there are places: it joins the queue, and those behind it wait without asking.
        let taken = running.len() + all.values().filter(|asked| asked.at.is_none()).count();
        let places = 1 + (node.config.max_running as usize).saturating_sub(taken);
        let most = match node.config.project_running {
            0 => usize::MAX,
            most => most as usize,
        };
        // A head that may not ask itself keeps nobody behind it.
        let asks = |job: &&&Waiting| {
            let of = |counts: &Counts| counts.get(&job.project).copied().unwrap_or(0);
            State::STARTS.contains(&job.state) && of(&counts.0) + of(&counts.1) < most
        };
        let waits_at = |job: &&Waiting| all.get(&job.digest)?.waits_at.as_deref();
        let heads: BTreeSet<&str> = ours.iter().filter(asks).filter_map(waits_at).collect();
        let due = |job: &Waiting| {
            let may = match all.get(&job.digest) {
                Some(asked) => asked.at.is_some_and(|at| at <= instant()),
                None => !job.participants.split(' ').any(|name| heads.contains(name)),
            };
            may && State::STARTS.contains(&job.state) && job.expires > now() && job.rested(now())
        };
        crate::lock(&self.tenants).next(&ours, due, &counts.0, counts.1, (most, places))
    }
}

/// Ends jobs whose time is over, and attempts of which nothing runs any more; attempts those jobs that this organisation submitted and that are due.
async fn look(node: &Arc<Node>, tries: &Arc<Tries>) -> Result<(), NodeError> {
    node.recover_attempts("its engine is gone").await?;
    node.settle().await?;
    node.end_what_lasts_too_long().await?;
    let queue = node.store.queue().await?;
    for job in queue.iter().filter(|job| job.expires <= now() && State::WAITS.contains(&job.state)) {
        node.move_on(&job.digest, &State::WAITS, State::Expired, (job.code, "its time is over")).await?;
    }
    if node.draining() {
        return Ok(());
    }
    for job in tries.next(node, &queue) {
        let stored = node.store.job(&job.digest).await?;
        let going = tries.begin(&job.digest);
        // One that does not answer keeps no other job from being attempted.
        let node = node.clone();
        tokio::spawn(async move {
            let Err(error) = node.attempt(&stored).await else {
                return going.began(&stored.manifest.body.project);
            };
            going.hindered(error.busy_at());
            if let Err(e) = hinder(&node, &stored, &error).await {
                tracing::error!(job = stored.digest, error = %e, "what hinders a job could not be kept");
            }
        });
    }
    Ok(())
}

impl Node {
    /// Stops attempts that last longer than any may here, or than what they open may be opened: whoever sends just enough to be waited for keeps no place for ever.
    async fn end_what_lasts_too_long(&self) -> Result<(), NodeError> {
        let most = Duration::from_secs(3600 * u64::from(self.config.attempt_hours));
        let all: Vec<_> =
            self.running().iter().map(|(digest, r)| (digest.clone(), r.number, instant() - r.since)).collect();
        for (digest, number, lasts) in all {
            let stored = self.store.job(&digest).await?;
            if stored.manifest.body.release.until <= now() {
                let end =
                    End { again: false, ..End::again(&digest, number, exit::NETWORK, "the time for openings is over") };
                self.ended(self.organisation(), end);
            } else if lasts >= most {
                let why =
                    format!("the attempt lasted longer than {} h, as no attempt may here", self.config.attempt_hours);
                self.ended(self.organisation(), End::again(&digest, number, exit::NETWORK, &why));
            }
        }
        Ok(())
    }
}

/// Why an attempt did not begin, for whoever looks. What cannot change ends the job.
async fn hinder(node: &Node, stored: &Stored, error: &NodeError) -> Result<(), NodeError> {
    if error.busy_at().is_none() {
        tracing::warn!(job = stored.digest, error = %error, "an attempt did not begin");
    }
    let standing = node.store.job(&stored.digest).await?;
    if !State::STARTS.contains(&standing.state) {
        return Ok(());
    }
    let used_up = standing.attempt >= stored.manifest.body.attempts;
    if error.is_final() || used_up {
        let reason = words(&error.for_others());
        // Told before: whoever is stopped in between asks for an attempt again, and hears and tells the same.
        let end = End { again: false, ..End::again(&stored.digest, standing.attempt, exit::NETWORK, &reason) };
        node.tell_participants(&stored.manifest.body, "end", &end).await?;
        node.move_on(&stored.digest, &State::STARTS, State::Aborted, (exit::NETWORK, &reason)).await?;
        return Ok(());
    }
    // Why it stands where it does remains said.
    node.store.set_hindered(&stored.digest, &words(&error.to_string())).await
}

/// Asks all members whether they live; what runs with one that does not is stopped.
pub(crate) async fn beat(node: Arc<Node>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let others = match node.others().await {
            Ok(others) => others,
            Err(e) => {
                tracing::error!(error = %e, "members could not be read");
                continue;
            }
        };
        let now = instant();
        let asked = others.into_iter().map(|(name, member)| {
            let node = node.clone();
            tokio::spawn(async move {
                let answer = tokio::time::timeout(ANSWER, node.peers.ping(&member)).await;
                let silent = |_| format!("{name} does not answer at {} within {} s", member.address, ANSWER.as_secs());
                let answer = answer.map_err(silent).and_then(|answer| answer.map_err(|e| e.to_string()));
                (name, answer)
            })
        });
        let asked: Vec<_> = asked.collect();
        for answer in asked {
            let Ok((name, answer)) = answer.await else { continue };
            match answer {
                Ok(_) => drop(node.silent().remove(&name)),
                Err(why) => {
                    let since = *node.silent().entry(name.clone()).or_insert(now);
                    let silent = instant() - since + BEAT;
                    if silent >= LOST {
                        lose(&node, &name, silent, &why).await;
                    }
                }
            }
        }
    }
}

/// Stops what runs with a participant that does not answer; nobody waits for its words. Where the others may go on without it, their engines look for
/// themselves who is lost, which takes about as long.
async fn lose(node: &Node, name: &str, silent: Duration, why: &str) {
    for (digest, number) in node.numbers_running() {
        let Ok(stored) = node.store.job(&digest).await else { continue };
        let job = &stored.manifest.body.job;
        if job.participants.iter().any(|p| p.name == name) {
            if let Some(running) = node.running().get_mut(&digest) {
                running.lost.insert(name.to_owned());
            }
            if node.engines_find_out(&digest, job.on_loss, name, silent) {
                continue;
            }
            node.ended(node.organisation(), End::again(&digest, number, exit::NETWORK, why));
        }
    }
}

impl Node {
    /// Whether the engines of an attempt find out themselves that a participant is lost, and go on.
    fn engines_find_out(&self, digest: &str, on_loss: OnLoss, name: &str, silent: Duration) -> bool {
        let running = self.running();
        let Some(running) = running.get(digest).filter(|running| running.stands) else { return false };
        let gone = || running.without.as_ref().is_some_and(|without| without.lost == name);
        match on_loss {
            OnLoss::Survive => true,
            OnLoss::Continue => silent < COUNCIL || gone(),
            OnLoss::Pause | OnLoss::Abort => false,
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

/// Tells how long the log is: whoever serves next must find as much. Without a log this instance can do nothing, and another may.
pub(crate) async fn log(node: Arc<Node>, tell: impl Fn(u64)) {
    loop {
        if let Some(why) = node.log.closed() {
            crate::daemon::end(&format!("the audit log takes nothing more: {why}"));
        }
        tell(node.log.size());
        tokio::time::sleep(BEAT).await;
    }
}

/// Renews the node's certificate in time, and one that became void.
pub(crate) async fn renew(node: Arc<Node>) {
    loop {
        if let Err(e) = node.renew().await {
            tracing::error!(error = %e, "the node's certificate could not be renewed");
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_whose_attempt_ends_in_a_fault_of_this_program_is_tried_again() {
        let tries = Arc::new(Tries::default());
        let going = tries.begin("ab");
        assert!(tries.all()["ab"].at.is_none(), "it is on its way");
        let task = std::thread::spawn(move || {
            let _going = going;
            panic!("a fault, as this test wants it");
        });
        assert!(task.join().is_err());
        assert!(tries.all()["ab"].at.is_some_and(|at| at <= instant() + AGAIN));
        // What was told before stays what it was told.
        let going = tries.begin("ab");
        going.hindered(Some("bank-b"));
        assert_eq!(tries.all()["ab"].waits_at.as_deref(), Some("bank-b"));
        tries.begin("ab").began("fraud");
        assert!(tries.all().is_empty());
    }

    #[test]
    fn trouble_with_a_file_is_told_once_for_each_change_of_it() {
        let (mut told, wrong) = (Told::default(), || Err::<(), _>(NodeError::Config { problem: "a line".into() }));
        let at = |seconds| move || Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert!(told.is_news(&wrong(), at(1)));
        assert!(!told.is_news(&wrong(), at(1)), "the same again");
        assert!(told.is_news(&wrong(), at(2)), "the file was changed");
        assert!(told.is_news::<()>(&Err(NodeError::Superseded), at(2)), "other trouble");
        assert!(!told.is_news(&Ok(()), at(2)) && told.is_news(&Err::<(), _>(NodeError::Superseded), at(2)));
    }
}
