//! Members that are removed, projects that are left, names whose root is forgotten, and jobs that end without an attempt.

use super::{Liar, Site};
use privity_api::{Member, Project, Statement};
use privity_node::now;
use privity_node::store::Store;
use serde_json::{Value, json};

/// The founder's statement of these members.
fn stated(site: &Site, version: u32, members: &[Member]) -> Statement<Project> {
    site.a.sign(Project { name: "fraud".into(), founder: "bank-a".into(), version, members: members.to_vec() })
}

impl Site {
    fn forgets(&self, name: &str, words: &str) -> (u16, Value) {
        self.tool("POST", &format!("members/{name}/forget"), Some(&json!({ "words": words, "person": "bob" })))
    }
    /// Records of this kind in the log, the newest first.
    pub fn records(&self, kind: &str) -> Vec<Value> {
        let (_, page) = self.tool("GET", "audit/entries?limit=500", None);
        let entries = page["entries"].as_array().expect("entries").iter().map(|entry| entry["record"].clone());
        entries.filter(|record| record["kind"] == kind).collect()
    }
}

#[test]
fn only_a_person_here_has_a_root_forgotten_and_for_one_with_the_words_they_gave() {
    let site = Site::new();
    let again = Liar::new(&site.folder.path().join("again"), "bank-c");
    let hostile = Liar::new(&site.folder.path().join("more"), "bank-c");
    let (a, own, c) = (site.a.member(), site.own.clone(), site.c.member());
    let words = |liar: &Liar| privity_api::member::root_words(&liar.root.fingerprint());
    let with = |version, member: &Member| stated(&site, version, &[a.clone(), own.clone(), member.clone()]);
    // No founder gives a name another root, and nobody forgets one that a job or a project rests on.
    site.refuses(&site.a, "project", &with(2, &hostile.member()), "E1007");
    // Whom that statement left out is none any more, until a newer one says otherwise; older ones say nothing.
    site.refuses(&site.c, "ping", &json!({}), "E2103");
    site.takes(&site.a, "project", &with(1, &c));
    site.refuses(&site.c, "ping", &json!({}), "E2103");
    site.takes(&site.a, "project", &with(3, &c));
    let manifest = site.manifest();
    let digest = manifest.digest().expect("a digest");
    site.takes(&site.a, "manifest", &site.a.sign(manifest));
    let (status, said) = site.forgets("bank-c", &words(&again));
    assert!(status == 409 && said.to_string().contains("1 jobs with bank-c have not ended"), "{said}");
    site.vote(&digest, "deny");
    let (status, said) = site.forgets("bank-c", &words(&again));
    assert!(status == 409 && said.to_string().contains("privity member remove bank-c --project fraud"), "{said}");
    assert_eq!(site.forgets("bank-b", "").0, 409);
    assert_eq!(site.forgets("bank-x", "").0, 404);

    // The founder leaves it out: it is a stranger at once.
    site.takes(&site.c, "ping", &json!({}));
    site.takes(&site.a, "project", &stated(&site, 4, &[a.clone(), own.clone()]));
    site.refuses(&site.c, "ping", &json!({}), "E2103");
    assert_eq!(site.forgets("bank-c", "six words are not enough here").0, 409);
    // Its name still stands for its root.
    site.refuses(&site.a, "project", &with(5, &again.member()), "E1007");
    let (status, said) = site.forgets("bank-c", &words(&again).to_uppercase());
    assert_eq!(status, 200, "{said}");
    assert!(said.to_string().contains("project fraud: E2101"), "the founder does not answer: {said}");
    // Not even its old root is taken now, nor another's; the one with these words is.
    for wrong in [&hostile, &site.c] {
        let text = site.refuses(&site.a, "project", &with(6, &wrong.member()), "E1007");
        assert!(text.contains("are not those that were given here") && !text.contains(&words(wrong)), "{text}");
    }
    let squatter = Member { organisation: "bank-x".into(), ..again.member() };
    let text = site.refuses(&site.a, "project", &with(6, &squatter), "E1007");
    assert!(text.contains("expected here for bank-c"), "{text}");
    site.takes(&site.a, "project", &with(6, &again.member()));
    site.takes(&again, "ping", &json!({}));
    site.refuses(&site.c, "ping", &json!({}), "E2103");
    // From here on it is as if it had never been another.
    for (version, other) in [(7, hostile.member()), (9, c)] {
        let text = site.refuses(&site.a, "project", &with(version, &other), "E1007");
        assert!(text.contains(&format!("which is bank-c with the root of these words: {}", words(&again))), "{text}");
        site.refuses(&again, "ping", &json!({}), "E2103");
        site.takes(&site.a, "project", &with(version + 1, &again.member()));
    }
    assert_eq!(site.forgets("bank-c", "").0, 409, "it is a member");

    // Without words it stands for none.
    site.takes(&site.a, "project", &stated(&site, 11, &[a.clone(), own.clone()]));
    assert_eq!(site.forgets("bank-c", "").0, 200);
    site.refuses(&site.a, "project", &with(12, &again.member()), "E1007");
    assert_eq!(site.forgets("bank-c", &words(&again)).0, 200);
    site.takes(&site.a, "project", &with(12, &again.member()));
    let forgotten = site.records("forgotten");
    assert!(forgotten.len() == 3 && forgotten.iter().all(|record| record["by"] == "bob"), "{forgotten:?}");
    assert_eq!(forgotten[2]["root"], *site.c.root.fingerprint());
    let left = site.records("left");
    assert!(left.len() == 5 && left.iter().all(|record| record["by"] == "bank-a"), "{left:?}");
}

#[test]
fn jobs_end_where_a_participant_is_no_member_any_more() {
    let site = Site::new();
    let (waits, digest) = site.approved();
    let (manifest, runs) = site.approved();
    site.takes(&site.a, "start", &site.signed(&manifest, 1));
    assert_eq!(site.state(&runs), "running");
    let start = site.signed(&waits, 1);
    let members = [site.a.member(), site.own.clone()];
    site.takes(&site.a, "project", &stated(&site, 2, &members));
    for job in [&digest, &runs] {
        site.until(job, "aborted");
        let reason = site.line(job)["reason"].as_str().expect("text").to_owned();
        assert!(reason.contains("bank-c is no member of project fraud any more"), "{reason}");
    }
    // What was signed before begins nothing, and an older statement brings nobody back.
    site.refuses(&site.a, "start", &start, "E3004");
    site.takes(&site.a, "project", &stated(&site, 1, &[site.a.member(), site.own.clone(), site.c.member()]));
    site.refuses(&site.c, "ping", &json!({}), "E2103");
    // With all members back, old jobs are over, and new ones are ones.
    site.takes(&site.a, "project", &stated(&site, 3, &[site.a.member(), site.own.clone(), site.c.member()]));
    assert_eq!((site.state(&digest), site.state(&runs)), ("aborted".into(), "aborted".into()));
    site.approved();
}

#[test]
fn whoever_leaves_a_project_is_nobodys_member() {
    let site = Site::new();
    let (_, digest) = site.approved();
    let (status, said) = site.tool("POST", "projects/another/leave", Some(&json!("bob")));
    assert_eq!(status, 404, "{said}");
    let (status, unheard) = site.tool("POST", "projects/fraud/leave", Some(&json!("bob")));
    assert_eq!((status, unheard), (200, json!(["bank-a", "bank-c"])), "nobody listens there");
    assert_eq!(site.state(&digest), "denied");
    assert_eq!(site.tool("GET", "projects", None).1, json!([]));
    site.refuses(&site.a, "ping", &json!({}), "E2103");
    site.refuses(&site.a, "project", &stated(&site, 2, &[site.a.member(), site.own.clone()]), "E2103");
    let left = site.records("left");
    assert_eq!((&left[0]["organisation"], &left[0]["by"]), (&json!("bank-b"), &json!("bob")));
    // Its members' names are known still: nobody gets one by having it leave.
    assert_eq!(site.forgets("bank-c", "").0, 200);
    // A project of its own it leaves when nobody else is in it.
    assert_eq!(site.tool("POST", "projects", Some(&json!("own"))).0, 200);
    assert_eq!(
        site.tool("POST", "projects/own/removals", Some(&json!({ "organisation": "bank-b", "person": "bob" }))).0,
        409
    );
    // What it signed of the project before is older than what it signs when it founds it again.
    let version = || site.tool("GET", "projects", None).1[0]["version"].clone();
    assert_eq!(version(), json!(1));
    assert_eq!(site.tool("POST", "projects/own/leave", Some(&json!("bob"))).0, 200);
    assert_eq!(site.tool("POST", "projects", Some(&json!("own"))).0, 200);
    assert_eq!(version(), json!(2));
    assert_eq!(site.tool("POST", "projects/own/leave", Some(&json!("bob"))).0, 200);
}

#[test]
fn nothing_begins_with_whoever_was_removed_since_it_was_signed() {
    let site = Site::new();
    let (manifest, digest) = site.approved();
    let start = site.signed(&manifest, 1);
    // As if the removal came between the last look and the beginning: the node did not hear of it.
    let home = site.folder.path().join("bank-b");
    site.runtime.block_on(async {
        let store = Store::open(&home).await.expect("a database");
        let project = stated(&site, 2, &[site.a.member(), site.own.clone()]);
        store.put_project(&site.a.root.fingerprint(), &project).await.expect("it is kept");
    });
    site.refuses(&site.a, "start", &start, "E3004");
    assert_ne!(site.state(&digest), "running");
}

#[test]
fn a_job_whose_time_is_over_is_in_the_log_also_without_an_attempt() {
    let site = Site::new();
    let mut manifest = site.manifest();
    manifest.expires = now() + 2;
    let digest = manifest.digest().expect("a digest");
    site.takes(&site.a, "manifest", &site.a.sign(manifest));
    site.until(&digest, "expired");
    let ended = site.records("ended");
    assert_eq!(
        (&ended[0]["manifest"], &ended[0]["number"], &ended[0]["end"]),
        (&json!(digest), &json!(0), &json!("expired"))
    );
    let (status, told) = site.tool("GET", &format!("jobs/{digest}/timeline"), None);
    assert!(status == 200 && told.to_string().contains("it is expired without an attempt: its time is over"), "{told}");
}
