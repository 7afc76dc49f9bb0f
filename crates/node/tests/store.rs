//! What a node remembers, in SQLite and in PostgreSQL: the same answers, also to callers that race; and what becomes of an instance that lost its lease.

mod postgres;

use postgres::Server;
use privity_api::{Approval, Decision, Manifest, Member, Project, Release, Statement};
use privity_job::JobFile;
use privity_node::admin::Role;
use privity_node::database::Database;
use privity_node::job::State;
use privity_node::lease::{Candidate, Lease};
use privity_node::model::{Model, Registered};
use privity_node::store::{Invitation, Person, Store, Table, Vouched};
use privity_node::{Config, NodeError, daemon, home};
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{AnyPool, Row};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime")
}

async fn candidate(server: &Server, name: &str) -> Candidate {
    Candidate::new(&Database::from(server.url()), "bank-b", name.into()).await.expect("a database")
}

/// In a test nothing loses its lease, but where it says so.
fn never(why: &str) {
    panic!("lost: {why}");
}

async fn lease(server: &Server) -> Lease {
    candidate(server, "a test").await.take(never).await.expect("a database").expect("a lease")
}

/// The server's database, as anybody with its password has it.
async fn pool(server: &Server) -> AnyPool {
    install_default_drivers();
    AnyPoolOptions::new().max_connections(2).connect(&server.url()).await.expect("a connection")
}

/// A statement that nobody verifies.
fn unsigned<B>(body: B) -> Statement<B> {
    Statement { body, certificate: vec![1], signature: vec![2] }
}

fn project(version: u64) -> Statement<Project> {
    let member = |name: &str| Member {
        organisation: name.into(),
        operator: name.into(),
        root: format!("root of {name}"),
        address: format!("{name}:1"),
        helper: false,
    };
    let members = vec![member("bank-a"), member("Bank-B")];
    unsigned(Project {
        name: "fraud".into(),
        founder: "bank-a".into(),
        version: version.try_into().expect("a version"),
        members,
    })
}

fn manifest(id: &str) -> Statement<Manifest> {
    let participants: String = ["a", "b", "c"]
        .map(|name| format!("[[participants]]\nname = \"bank-{name}\"\naddress = \"{name}:1\"\nrows = 40\n\n"))
        .concat();
    let columns = "[[data.schema.columns]]\nname = \"x\"\nkind = \"number\"\nmin = 0.0\nmax = 1.0\n\n[[data.schema.columns]]\nname = \"y\"\nkind = \"label\"\nvalues = [\"no\", \"yes\"]\n";
    let text = format!(
        "name = \"fraud\"\nprotocol = \"rep3\"\n\n{participants}{columns}\n[model]\nkind = \"logistic\"\n\n[training]\nepochs = 2\nbatch = 8\n"
    );
    unsigned(Manifest {
        version: privity_api::manifest::VERSION,
        id: id.into(),
        project: "fraud".into(),
        submitter: "bank-a".into(),
        person: "ann".into(),
        purpose: "ein Modell für alle \u{1f3e6} \\u0000".into(),
        created: 1,
        expires: 2,
        attempts: 3,
        build: "b".into(),
        datasets: Vec::new(),
        models: Vec::new(),
        release: Release { recipients: Vec::new(), min_cohort: 10, until: 3, epsilon_milli: 0 },
        job: JobFile::from_toml(&text).expect("a job file"),
    })
}

fn approval(organisation: &str, decision: Decision) -> Statement<Approval> {
    unsigned(Approval {
        manifest: "ab12".into(),
        organisation: organisation.into(),
        decision,
        reason: "seen".into(),
        by: vec!["ann".into()],
        at: 5,
    })
}

/// All that a store does, one after the other; what it answered.
async fn everything(store: &Store) -> Vec<String> {
    let mut said = Vec::new();
    macro_rules! say {
        ($answer:expr) => {{
            let answer = $answer.await;
            said.push(format!("{}: {answer:?}", stringify!($answer)));
        }};
    }
    for version in [2, 1, 3] {
        say!(store.put_project("root of bank-a", &project(version)));
        say!(store.project("fraud"));
    }
    say!(store.project("other"));
    say!(store.projects());
    let mut names = store.names().await.expect("names");
    names.sort();
    said.push(format!("{names:?}"));
    for before in [10, 5, 20] {
        say!(store.put_revocation("r", before, "signed", &[("fraud".into(), "bank-b".into())]));
        say!(store.revocations());
    }
    let mut invitation = Invitation {
        id: "i".into(),
        secret: "s".into(),
        project: "fraud".into(),
        organisation: "bank-d".into(),
        helper: true,
        expires: 100,
        state: "open".into(),
        joiner: String::new(),
        words: String::new(),
    };
    say!(store.put_invitation(&invitation));
    (invitation.state, invitation.words) = ("joining".into(), "six words".into());
    say!(store.put_invitation(&invitation));
    say!(store.invitation("i", 99));
    say!(store.invitation("i", 100));
    say!(store.invitations());
    for name in ["b", "B", "a", "é", "_"] {
        let person =
            Person { name: name.into(), role: Role::Approver, password: "$argon2id$".into(), created: 1, changed: 2 };
        store.put_person(&person).await.expect("a person");
        say!(store.vote("ab12", (name, Vouched::Password), 7));
        say!(store.votes("ab12"));
        let table = Table {
            name: name.into(),
            path: "rows.csv".into(),
            test_path: String::new(),
            schema: "s".into(),
            rows: u64::from(u32::MAX) + 1,
            projects: Vec::new(),
            shows_rows: false,
        };
        store.put_table(&table).await.expect("a table");
    }
    let people: Vec<_> =
        store.people().await.expect("people").into_iter().map(|p| (p.name, p.role, p.changed)).collect();
    said.push(format!("{people:?}"));
    say!(store.remove_person("B"));
    say!(store.remove_person("B"));
    say!(store.tables());
    say!(store.remove_table("_"));
    say!(store.remove_table("_"));
    for (name, most_rows) in [("net", 0), ("B", u64::MAX), ("net", 40)] {
        let file = Registered { path: "model.json".into(), bytes: 7, digest: "d".into(), model: "m".into() };
        let model = Model {
            name: name.into(),
            files: vec![file],
            form: "logistic regression".into(),
            schema: "s".into(),
            digest: "of net".into(),
            most_rows,
            scored: 0,
            limit: 0,
        };
        say!(store.put_model(&model));
        say!(store.models());
    }
    say!(store.remove_model("B"));
    say!(store.remove_model("B"));
    const MANY: u64 = 1 << 40;
    for (attempt, file, rows, sum) in [
        (("ab12", 1), "of net", 40, 40),
        // An attempt counts once, for each file.
        (("ab12", 1), "of net", 41, 40),
        (("ab12", 1), "of another", 40, 40),
        (("ab12", 2), "of net", MANY, MANY + 40),
        (("cd34", 1), "of net", 2, MANY + 42),
    ] {
        say!(store.add_scored(attempt, file, rows, 9));
        assert_eq!(store.scored(file).await.expect("a sum"), sum, "{attempt:?} {file}");
    }
    assert_eq!(store.scored("of a third").await.expect("a sum"), 0);
    // Who votes again in another way is the same person.
    say!(store.vote("ab12", ("B", Vouched::Provider), 9));
    say!(store.vote("ab12", ("a", Vouched::Tool), 9));
    say!(store.votes("ab12"));
    // What is no text to one database is refused by both before they are asked.
    for odd in ["\u{0}", "ab\u{0}", "..", "é", "AB12", &"a".repeat(65)] {
        say!(store.job(odd));
        say!(store.find_job(odd));
        say!(store.project(odd));
    }
    // Jobs.
    for (digest, id, at) in [("abcdef12", "1234567a", 1), ("abcdef13", "1234567b", 2), ("ffffffff", "9999999a", 2)] {
        say!(store.add_job(digest, &manifest(id), 5, at));
    }
    // Another manifest under what is taken is refused; the same one again is there already.
    for (digest, id) in [("abcdef12", "0"), ("00", "1234567a"), ("abcdef12", "1234567a")] {
        say!(store.add_job(digest, &manifest(id), 7, 9));
    }
    say!(store.has_id("1234567a"));
    say!(store.has_id("1234567"));
    for name in ["abcdef12", "abcdef", "ABCDEF13", "123456", "1234567a", "ffffff", "fffffff0", "abcde", "%"] {
        said.push(format!("{name}: {:?}", store.find_job(name).await.map(|job| job.digest)));
    }
    say!(store.take_attempt("abcdef12", 1));
    say!(store.set_state("abcdef12", &[State::Pending], State::Ready, (0, "all"), 3));
    say!(store.set_state("abcdef12", &[State::Pending], State::Ready, (0, "all"), 4));
    for (number, begins) in [(1, 1), (1, 1), (0, 0), (3, 2), (2, 3)] {
        say!(store.take_attempt("abcdef12", number));
        say!(store.begin_attempt("abcdef12", begins, 5));
        say!(store.set_state("abcdef12", &State::OPEN, State::Paused, (6, "lost"), 6));
    }
    say!(store.set_hindered("abcdef12", "busy"));
    say!(store.set_report("abcdef12", "{}"));
    say!(store.job("abcdef12"));
    say!(store.job("abcdef"));
    let mut counts = store.counts().await.expect("counts");
    counts.sort();
    said.push(format!("{counts:?}"));
    for jobs in [store.jobs().await, store.jobs_in(&State::WAITS).await, store.jobs_in(&[State::Running]).await] {
        let jobs: Vec<_> = jobs.expect("jobs").into_iter().map(|job| (job.digest, job.state)).collect();
        said.push(format!("{jobs:?}"));
    }
    for (organisation, decision) in [
        ("bank-b", Decision::Approve),
        ("bank-b", Decision::Approve),
        ("bank-b", Decision::Deny),
        ("bank-b", Decision::Approve),
        ("bank-a", Decision::Deny),
    ] {
        let approval = approval(organisation, decision);
        say!(store.is_news(&approval.body));
        say!(store.put_approval(&approval));
    }
    say!(store.approvals("ab12"));
    for event in ["one", "two", "three"] {
        say!(store.add_event("ab12", 9, event));
    }
    say!(store.events("ab12", 1));
    for epsilon in [500, 700, u64::MAX] {
        say!(store.spend(if epsilon == 700 { "m500" } else { "m" }, "fraud", 3, epsilon));
    }
    let mut spent = store.spending("fraud").await.expect("spending");
    spent.sort_by(|a, b| a.0.cmp(&b.0));
    said.push(format!("{spent:?}"));
    for (to, body) in [("x", "1"), ("y", "2"), ("x", "3")] {
        say!(store.post("fraud", to, "end", body.into()));
    }
    let letters = |letters: Vec<privity_node::store::Letter>| -> Vec<(i64, String)> {
        letters.into_iter().map(|letter| (letter.seq, letter.body)).collect()
    };
    said.push(format!("{:?}", letters(store.letters("x").await.expect("letters"))));
    say!(store.early(1));
    say!(store.early(99));
    said.push(format!("{:?}", letters(store.letters("x").await.expect("letters"))));
    say!(store.delivered(3));
    say!(store.waiting());
    let mut to = store.recipients().await.expect("recipients");
    to.sort();
    said.push(format!("{to:?}"));
    // A name is forgotten, and comes back; a project is left, with what waits in it.
    for words in ["", "twelve words"] {
        say!(store.forget_name("Bank-B", words));
        say!(store.names());
        say!(store.forgotten());
    }
    say!(store.waiting());
    say!(store.put_project("root of bank-a", &project(4)));
    say!(store.forgotten());
    say!(store.forget_project("fraud"));
    say!(store.projects());
    say!(store.invitations());
    say!(store.waiting());
    said
}

#[test]
fn both_databases_give_the_same_answers_and_keep_what_they_were_told() {
    let (folder, server) = (tempfile::tempdir().expect("a directory"), Server::new());
    runtime().block_on(async {
        let held = lease(&server).await;
        let sqlite = everything(&Store::open(folder.path()).await.expect("SQLite")).await;
        let postgres = everything(&Store::under(&held).await.expect("PostgreSQL")).await;
        assert!(sqlite.len() > 90, "{}", sqlite.len());
        for (one, other) in sqlite.iter().zip(&postgres) {
            assert_eq!(one, other);
        }
        assert_eq!(sqlite.len(), postgres.len());
        assert!(sqlite.iter().any(|said| said.contains("fraud") && said.contains("für alle \u{1f3e6}")));
        // Opened again, by whoever has the lease next, all is there.
        held.release().await.expect("a database");
        let held = lease(&server).await;
        let jobs = Store::under(&held).await.expect("PostgreSQL").jobs().await.expect("jobs");
        assert_eq!(jobs.len(), 3);
        assert_eq!(jobs.len(), Store::open(folder.path()).await.expect("SQLite").jobs().await.expect("jobs").len());
        held.release().await.expect("a database");
        columns_are_alike(folder.path(), &server).await;
        others_and_newer_programs_are_refused(&server).await;
    });
}

/// A migration that was written for one database only would show here.
async fn columns_are_alike(home: &std::path::Path, server: &Server) {
    let names = |rows: Vec<sqlx::any::AnyRow>| -> Vec<(String, String)> {
        rows.iter().map(|row| (row.get::<String, _>(0), row.get::<String, _>(1))).collect()
    };
    let file = format!("sqlite://{}", home.join("node.db").display());
    let sqlite = AnyPoolOptions::new().connect(&file).await.expect("SQLite");
    let of_sqlite = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' \
                     AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid";
    let of_postgres = "SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns \
                       WHERE table_schema = 'public' AND table_name <> 'node' ORDER BY table_name::TEXT COLLATE \"C\", ordinal_position";
    let sqlite = names(sqlx::query(of_sqlite).fetch_all(&sqlite).await.expect("columns"));
    let postgres = names(sqlx::query(of_postgres).fetch_all(&pool(server).await).await.expect("columns"));
    assert!(sqlite.len() > 50);
    assert_eq!(sqlite, postgres);
}

async fn others_and_newer_programs_are_refused(server: &Server) {
    let other = Candidate::new(&Database::from(server.url()), "bank-c", "another".into()).await;
    let said = other.err().expect("it is bank-b's").to_string();
    assert!(said.contains("that of bank-b") && !said.contains(postgres::PASSWORD), "{said}");
    let wrong = server.url().replace(postgres::PASSWORD, "wr0ng");
    let said =
        Candidate::new(&Database::from(wrong), "bank-b", "x".into()).await.err().expect("a password").to_string();
    assert!(said.starts_with("E1003") && !said.contains("wr0ng"), "{said}");
    sqlx::query("UPDATE node SET version = 99").execute(&pool(server).await).await.expect("a database");
    let held = lease(server).await;
    let said = Store::under(&held).await.err().expect("a newer program's").to_string();
    assert!(said.contains("version 99"), "{said}");
}

/// What sixteen callers that do the same at once were answered.
async fn sixteen<F: Future<Output = Result<bool, NodeError>> + Send + 'static>(
    store: &Store,
    does: impl Fn(Store, u32) -> F,
) -> usize {
    let mut racing = JoinSet::new();
    (0..16).for_each(|i| drop(racing.spawn(does(store.clone(), i))));
    racing.join_all().await.into_iter().filter(|won| *won.as_ref().expect("an answer")).count()
}

async fn races(store: &Store) {
    store.add_job("abcdef12", &manifest("1234567a"), 5, 1).await.expect("a job");
    let to = |to, from: &'static [State]| {
        move |store: Store, _| async move { store.set_state("abcdef12", from, to, (0, "r"), 1).await }
    };
    assert_eq!(sixteen(store, to(State::Ready, &[State::Pending])).await, 1);
    for number in 1..=3 {
        assert_eq!(sixteen(store, move |s, _| async move { s.take_attempt("abcdef12", number).await }).await, 1);
        assert_eq!(sixteen(store, move |s, _| async move { s.begin_attempt("abcdef12", number, 1).await }).await, 1);
        assert_eq!(sixteen(store, to(State::Paused, &[State::Running])).await, 1);
    }
    // Of numbers that race only those are taken that are higher than all taken before, and the highest is.
    assert!(sixteen(store, |s, i| async move { s.take_attempt("abcdef12", 10 + i).await }).await >= 1);
    assert_eq!(store.job("abcdef12").await.expect("a job").attempt, 25);
    assert_eq!(sixteen(store, |s, i| async move { s.begin_attempt("abcdef12", 10 + i, 1).await }).await, 1);
    // The newest statement of a project stays, however they come.
    let put =
        |s: Store, i: u32| async move { s.put_project("r", &project(u64::from(i * 7 % 16) + 1)).await.map(|()| true) };
    assert_eq!(sixteen(store, put).await, 16);
    assert_eq!(u64::from(store.project("fraud").await.expect("a database").expect("a project").1.body.version), 16);
    // A denial stays, whoever approves at the same time.
    let decide = |s: Store, i| async move {
        let decision = if i == 7 { Decision::Deny } else { Decision::Approve };
        s.put_approval(&approval("bank-b", decision)).await.map(|()| true)
    };
    assert_eq!(sixteen(store, decide).await, 16);
    assert_eq!(store.approvals("ab12").await.expect("approvals")[0].body.decision, Decision::Deny);
    let tell = |s: Store, i: u32| async move { s.add_event("ab12", 1, &i.to_string()).await.map(|()| true) };
    assert_eq!(sixteen(store, tell).await, 16);
    let events = store.events("ab12", 0).await.expect("events");
    assert_eq!(events.iter().map(|event| event.0).collect::<Vec<_>>(), (1..=16).collect::<Vec<_>>());
    let spend = |s: Store, i: u32| async move { s.spend("m", "fraud", 1, u64::from(i) + 1).await.map(|()| true) };
    assert_eq!(sixteen(store, spend).await, 16);
    assert_eq!(store.spending("fraud").await.expect("spending").len(), 1);
    let vote = |s: Store, i: u32| async move {
        let person = format!("p{}", i % 2);
        s.vote("ab12", (&person, Vouched::Tool), 1).await.map(|()| true)
    };
    assert_eq!(sixteen(store, vote).await, 16);
    let votes = store.votes("ab12").await.expect("votes");
    assert_eq!(votes, [("p0".to_owned(), Vouched::Tool), ("p1".to_owned(), Vouched::Tool)]);
}

#[test]
fn of_sixteen_that_race_for_a_number_one_gets_it() {
    let (folder, server) = (tempfile::tempdir().expect("a directory"), Server::new());
    runtime().block_on(async {
        races(&Store::open(folder.path()).await.expect("SQLite")).await;
        let held = lease(&server).await;
        races(&Store::under(&held).await.expect("PostgreSQL")).await;
        held.release().await.expect("a database");
    });
}

#[test]
fn a_server_on_a_network_shows_a_certificate_for_its_name() {
    let mut certificate = String::new();
    let server = Server::with(|folder| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        certificate = made.cert.pem();
        let (public, private) = (folder.join("server.crt"), folder.join("server.key"));
        std::fs::write(&public, &certificate).expect("a file");
        std::fs::write(&private, made.signing_key.serialize_pem()).expect("a file");
        let only_its_user = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&private, only_its_user).expect("a file");
        let set = |name: &str, value: String| ["-c".to_owned(), format!("{name}={value}")];
        let mut more = set("ssl", "on".into()).to_vec();
        more.extend(set("ssl_cert_file", public.display().to_string()));
        more.extend(set("ssl_key_file", private.display().to_string()));
        more
    });
    let folder = tempfile::tempdir().expect("a directory");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, certificate).expect("a file");
    let url = |host: &str, more: &str| {
        let url = server.url().replace("127.0.0.1", host);
        Database::from(format!("{url}?sslmode=verify-full{more}"))
    };
    let rooted = format!("&sslrootcert={}", roots.display());
    runtime().block_on(async {
        let asks = async |database: Database| Candidate::new(&database, "bank-b", "x".into()).await;
        for wrong in [url("localhost", ""), url("127.0.0.1", &rooted)] {
            let said = asks(wrong).await.err().expect("nobody vouches for it").to_string();
            assert!(said.contains("certificate") && !said.contains(postgres::PASSWORD), "{said}");
        }
        let candidate = asks(url("localhost", &rooted)).await.expect("a server with a certificate");
        let held = candidate.take(never).await.expect("a database").expect("a lease");
        let encrypted = "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                         WHERE ssl AND application_name = 'privity'";
        let row = sqlx::query(encrypted).fetch_one(&pool(&server).await).await.expect("a database");
        assert!(row.get::<i64, _>(0) >= 1, "nothing of it is in the clear");
        held.release().await.expect("a database");
    });
}

#[test]
fn instances_that_start_at_once_on_an_empty_database_make_it_once() {
    let server = Server::new();
    runtime().block_on(async {
        let url = server.url();
        let mut racing = JoinSet::new();
        for i in 0..8 {
            let database = Database::from(url.clone());
            racing.spawn(async move {
                let candidate = Candidate::new(&database, "bank-b", format!("instance {i}")).await.expect("a database");
                candidate.take(never).await.expect("a database")
            });
        }
        let mut leases: Vec<Lease> = racing.join_all().await.into_iter().flatten().collect();
        assert_eq!(leases.len(), 1, "one serves");
        leases.pop().expect("one").release().await.expect("a database");
    });
}

static LOST: AtomicBool = AtomicBool::new(false);

#[test]
fn an_instance_that_lost_its_lease_changes_nothing_more() {
    let server = Server::new();
    runtime().block_on(async {
        let (first, second) = (candidate(&server, "first").await, candidate(&server, "second").await);
        let held = first.take(|_| LOST.store(true, Ordering::Relaxed)).await.expect("a database").expect("a lease");
        let store = Store::under(&held).await.expect("a store");
        store.add_job("abcdef12", &manifest("1234567a"), 5, 1).await.expect("a job");
        store.set_state("abcdef12", &[State::Pending], State::Ready, (0, "r"), 1).await.expect("a state");
        assert!(second.take(never).await.expect("a database").is_none(), "the lease is held");
        assert_eq!(second.holder().await.expect("a database"), "first");
        // It renews itself: longer than it lasts without that.
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert!(second.take(never).await.expect("a database").is_none() && !LOST.load(Ordering::Relaxed));
        // As if it had not been renewed in time.
        sqlx::query("UPDATE node SET until = 0").execute(&pool(&server).await).await.expect("a database");
        let taken = second.take(never).await.expect("a database").expect("a lease");
        let successor = Store::under(&taken).await.expect("a store");
        let refused = [
            store.take_attempt("abcdef12", 1).await.map(drop),
            store.begin_attempt("abcdef12", 1, 1).await.map(drop),
            store.set_state("abcdef12", &State::OPEN, State::Denied, (0, "r"), 1).await.map(drop),
            store.put_project("r", &project(1)).await,
            store.add_event("abcdef12", 1, "e").await,
            store.post("fraud", "x", "end", "1".into()).await,
            store.delivered(1).await,
        ];
        assert!(refused.iter().all(|answer| matches!(answer, Err(NodeError::Superseded))), "{refused:?}");
        assert_eq!(successor.job("abcdef12").await.expect("a job").state, State::Ready);
        assert!(successor.take_attempt("abcdef12", 1).await.expect("a database"));
        let began = Instant::now();
        while !LOST.load(Ordering::Relaxed) {
            assert!(began.elapsed() < Duration::from_secs(10), "it is told");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Given back, it is free at once; and an old one gives back nothing of another's.
        held.release().await.expect("a database");
        assert!(first.take(never).await.expect("a database").is_none());
        taken.release().await.expect("a database");
        let again = first.take(never).await.expect("a database").expect("a lease");
        again.release().await.expect("a database");
    });
}

#[test]
fn a_database_older_than_the_log_is_refused_however_often_it_is_tried() {
    let server = Server::new();
    let home = tempfile::tempdir().expect("a directory");
    let text = format!(
        "organisation = \"bank-b\"\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndatabase = \"{}\"\n",
        server.url()
    );
    let config = Config::parse(&text, |_| None).expect("a configuration");
    daemon::init(home.path(), &config).expect("a node's directory");
    // Nothing is left of a node when its runtime ends.
    let starts = || {
        let runtime = runtime();
        runtime.block_on(async {
            let running = daemon::start(home.path()).await.map_err(|error| error.to_string())?;
            running.drain().await;
            Ok::<_, String>(())
        })
    };
    let epoch = || {
        runtime().block_on(async {
            let row = sqlx::query("SELECT epoch FROM node").fetch_one(&pool(&server).await).await.expect("a database");
            row.get::<i64, _>(0)
        })
    };
    starts().expect("a node");
    let before = epoch();
    let lock = home::audit(home.path()).join("lock");
    // As if it had been put back from before several leases.
    std::fs::write(&lock, (before + 3).to_string()).expect("a file");
    for _ in 0..4 {
        let said = starts().expect_err("it is older");
        assert!(said.starts_with("E1004"), "{said}");
        assert_eq!(epoch(), before, "what was refused leaves no trace");
    }
    std::fs::remove_file(&lock).expect("a file");
    starts().expect("as the guide says");
    assert!(epoch() > before);
}

#[test]
fn a_server_that_dies_and_comes_back_loses_nothing() {
    let mut server = Server::new();
    let runtime = runtime();
    let (held, store) = runtime.block_on(async {
        let held = lease(&server).await;
        let store = Store::under(&held).await.expect("a store");
        store.add_job("abcdef12", &manifest("1234567a"), 5, 1).await.expect("a job");
        store.set_state("abcdef12", &[State::Pending], State::Ready, (0, "r"), 1).await.expect("a state");
        (held, store)
    });
    let writes: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            runtime.spawn(async move {
                let began = Instant::now();
                let mut posted = Vec::new();
                while began.elapsed() < Duration::from_secs(5) {
                    let body = format!("{writer}-{}", posted.len());
                    store.post("fraud", "x", "end", body.clone()).await.expect("it is kept");
                    posted.push(body);
                }
                posted
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(1200));
    server.kill();
    std::thread::sleep(Duration::from_millis(500));
    server.start();
    runtime.block_on(async {
        let mut posted = Vec::new();
        for writer in writes {
            posted.extend(writer.await.expect("it goes on"));
        }
        let rows = sqlx::query("SELECT body FROM outbox").fetch_all(&pool(&server).await).await.expect("a database");
        let kept: std::collections::BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(posted.len() > 50 && posted.iter().all(|body| kept.contains(body)), "{}", posted.len());
        assert!(store.take_attempt("abcdef12", 1).await.expect("a database"));
        assert!(store.begin_attempt("abcdef12", 1, 1).await.expect("a database"));
        assert!(!store.begin_attempt("abcdef12", 1, 1).await.expect("a database"));
        held.release().await.expect("a database");
    });
}

/// Stands before a server and cuts connections on which something was committed, after the server has said so and before that is heard.
struct Loses {
    address: std::net::SocketAddr,
    /// How many answers are to be lost yet.
    left: Arc<AtomicUsize>,
}

impl Loses {
    fn new(server: &Server) -> Loses {
        let url = server.url();
        let behind = url.rsplit('@').next().and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, left) = (listener.local_addr().expect("an address"), Arc::new(AtomicUsize::new(0)));
        let loses = left.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&behind).expect("the server");
                let cut = Arc::new(AtomicBool::new(false));
                let ends = || (client.try_clone().expect("a stream"), server.try_clone().expect("a stream"));
                let (to, from) = (ends(), ends());
                let (loses, cuts) = (loses.clone(), cut.clone());
                std::thread::spawn(move || {
                    pass(to.0, to.1, |bytes| {
                        let commits = bytes.windows(6).any(|word| word == b"COMMIT");
                        let lost = |left: usize| left.checked_sub(1);
                        if commits && loses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lost).is_ok() {
                            cuts.store(true, Ordering::SeqCst);
                        }
                        true
                    });
                });
                std::thread::spawn(move || pass(from.1, from.0, |_| !cut.load(Ordering::SeqCst)));
            }
        });
        Loses { address, left }
    }
    fn url(&self, server: &Server) -> Database {
        let (before, _) = server.url().rsplit_once('@').map(|(b, a)| (b.to_owned(), a.to_owned())).expect("an address");
        Database::from(format!("{before}@{}/postgres", self.address))
    }
    /// The next answers to a commit are lost.
    fn lose(&self, answers: usize) {
        self.left.store(answers, Ordering::SeqCst);
    }
    fn has_lost(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

/// Passes bytes on while it may; then both ends are closed.
fn pass(mut from: TcpStream, mut to: TcpStream, mut may: impl FnMut(&[u8]) -> bool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if !may(&bytes[..read]) || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        drop(end.shutdown(std::net::Shutdown::Both));
    }
}

#[test]
fn what_was_committed_before_its_answer_was_lost_counts_as_done_once() {
    let server = Server::new();
    let before = Loses::new(&server);
    runtime().block_on(async {
        let candidate = Candidate::new(&before.url(&server), "bank-b", "a test".into()).await.expect("a database");
        let held = candidate.take(never).await.expect("a database").expect("a lease");
        let store = Store::under(&held).await.expect("a store");
        macro_rules! loses {
            ($answer:expr) => {{
                before.lose(1);
                let answer = $answer.await;
                assert!(before.has_lost(), "{}", stringify!($answer));
                answer.unwrap_or_else(|e| panic!("{}: {e}", stringify!($answer)))
            }};
        }
        let job = manifest("1234567a");
        loses!(store.add_job("abcdef12", &job, 5, 1));
        assert_eq!(store.jobs().await.expect("jobs").len(), 1);
        assert!(store.add_job("abcdef12", &manifest("1234567b"), 5, 1).await.is_err(), "another one is not it");
        let to = |to, at| store.set_state("abcdef12", &[State::Pending], to, (0, "all"), at);
        assert!(loses!(to(State::Ready, 2)), "it did go there");
        assert!(!loses!(to(State::Denied, 3)), "it did not, and what it did before is no answer");
        // A number whose answer was lost is taken, and nobody has it.
        assert!(!loses!(store.take_attempt("abcdef12", 1)) && !store.take_attempt("abcdef12", 1).await.expect("no"));
        assert!(store.take_attempt("abcdef12", 2).await.expect("a database"));
        assert!(!loses!(store.begin_attempt("abcdef12", 2, 4)), "what may have begun is not begun again");
        let stored = store.job("abcdef12").await.expect("a job");
        assert_eq!(
            (stored.state, stored.attempt),
            (State::Running, 2),
            "so whoever looks finds that nothing runs of it"
        );
        let table = Table {
            name: "rows".into(),
            path: "rows.csv".into(),
            test_path: String::new(),
            schema: "s".into(),
            rows: 1,
            projects: Vec::new(),
            shows_rows: false,
        };
        loses!(store.put_table(&table));
        assert!(loses!(store.remove_table("rows")) && store.tables().await.expect("tables").is_empty());
        let person = Person { name: "ann".into(), role: Role::Approver, password: "p".into(), created: 1, changed: 2 };
        loses!(store.put_person(&person));
        assert!(loses!(store.remove_person("ann")) && store.people().await.expect("people").is_empty());
        loses!(store.vote("ab12", ("ann", Vouched::Tool), 1));
        assert_eq!(store.votes("ab12").await.expect("votes").len(), 1);
        loses!(store.put_approval(&approval("bank-b", Decision::Approve)));
        loses!(store.put_approval(&approval("bank-b", Decision::Deny)));
        assert_eq!(store.approvals("ab12").await.expect("approvals")[0].body.decision, Decision::Deny);
        loses!(store.spend("m", "fraud", 1, 7));
        assert_eq!(store.spending("fraud").await.expect("spending").len(), 1);
        // These come twice, and whoever hears them takes them once.
        loses!(store.post("fraud", "bank-c", "end", "1".into()));
        loses!(store.add_event("ab12", 1, "e"));
        assert_eq!(store.waiting().await.expect("messages"), 2);
        assert_eq!(store.events("ab12", 0).await.expect("events").len(), 2);
        held.release().await.expect("a database");
    });
}
