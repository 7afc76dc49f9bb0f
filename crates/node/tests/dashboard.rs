//! The dashboard's interface at a node that runs: signing in, roles, forged requests, limits, headers, and its description.

use privity_node::{Config, daemon, home};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const PASSWORD: &str = "seven green bicycles";

/// A node without company, and what it takes to ask it.
struct Site {
    address: String,
    token: String,
    running: Option<daemon::Running>,
    runtime: tokio::runtime::Runtime,
    home: tempfile::TempDir,
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// A session: cookie and CSRF token.
#[derive(Clone)]
struct Session(String, String);

fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Site {
    fn start() -> Site {
        let home = tempfile::tempdir().expect("a directory");
        let text =
            format!("organisation = \"bank-a\"\nlisten = \"127.0.0.1:{}\"\nadmin = \"127.0.0.1:{}\"\n", port(), port());
        let config = Config::parse(&text, |_| None).expect("a configuration");
        daemon::init(home.path(), &config).expect("a node's directory");
        let token = std::fs::read_to_string(home::token(home.path())).expect("a token");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let running = runtime.block_on(daemon::start(home.path())).expect("a node");
        Site { address: config.admin, token, running: Some(running), runtime, home }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let mut stream = TcpStream::connect(&self.address).expect("the node listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request += &format!("host: {}\r\n", self.address);
        }
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        let body = body.map(Value::to_string).unwrap_or_default();
        request += &format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).expect("the node reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        Answer { status, head: head.into(), body: body.into() }
    }
    fn tool(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask(method, path, &[("authorization", &format!("Bearer {}", self.token))], body)
    }
    fn person(&self, session: &Session, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask(method, path, &[("cookie", &session.0), ("x-privity-csrf", &session.1)], body)
    }
    fn login(&self, name: &str, password: &str) -> Answer {
        self.ask("POST", "/api/v1/session", &[], Some(&json!({ "name": name, "password": password })))
    }
    fn add(&self, name: &str, role: &str) {
        let person = json!({ "name": name, "role": role, "password": PASSWORD });
        let answer = self.tool("POST", "/api/v1/people", Some(&person));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    fn session(&self, name: &str) -> Session {
        let answer = self.login(name, PASSWORD);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let cookie = answer.header("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
        Session(cookie, answer.json()["csrf"].as_str().expect("text").to_owned())
    }
    /// Method and path of all operations that the node describes, names in paths filled in.
    fn operations(&self) -> BTreeSet<(String, String)> {
        let document = self.ask("GET", "/api/v1/openapi.json", &[], None).json();
        let paths = document["paths"].as_object().expect("paths").iter();
        let of = |(path, methods): (&String, &Value)| -> Vec<(String, String)> {
            let methods = methods.as_object().expect("methods").keys().filter(|key| *key != "parameters");
            methods.map(|method| (method.to_uppercase(), path.clone())).collect()
        };
        paths.flat_map(of).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.drain());
        }
    }
}

#[test]
fn people_sign_in_and_out() {
    let site = Site::start();
    site.add("ann", "viewer");
    let answer = site.login("ann", PASSWORD);
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("privity_session_") && cookie.contains("HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
    assert_eq!(cookie.split(['=', ';']).nth(1).expect("a value").len(), 64, "256 random bits");
    let session = site.session("ann");
    let who = site.person(&session, "GET", "/api/v1/session", None).json();
    assert_eq!((who["person"].as_str(), who["role"].as_str()), (Some("ann"), Some("viewer")));
    assert!(who["csrf"].is_null(), "told once");

    let (wrong, nobody) = (site.login("ann", "seven green bicyclez"), site.login("bob", PASSWORD));
    assert_eq!((wrong.status, nobody.status), (401, 401));
    assert_eq!(wrong.body, nobody.body, "nothing says whether there is such a person");

    assert_eq!(site.person(&session, "DELETE", "/api/v1/session", None).status, 200);
    assert_eq!(site.person(&session, "GET", "/api/v1/session", None).status, 401, "the session is over");
    assert_eq!(site.ask("GET", "/api/v1/jobs", &[("authorization", "Bearer 00")], None).status, 401);
}

#[test]
fn passwords_and_roles_change() {
    let site = Site::start();
    site.add("ann", "admin");
    site.add("bea", "viewer");
    let (ann, bea) = (site.session("ann"), site.session("bea"));
    let change = json!({ "old": PASSWORD, "new": "eight blue bicycles" });
    assert_eq!(
        site.person(
            &bea,
            "PUT",
            "/api/v1/session/password",
            Some(&json!({ "old": "another thing", "new": "eight blue bicycles" }))
        )
        .status,
        403
    );
    assert_eq!(site.person(&bea, "PUT", "/api/v1/session/password", Some(&change)).status, 200);
    assert_eq!((site.login("bea", PASSWORD).status, site.login("bea", "eight blue bicycles").status), (401, 200));
    assert_eq!(site.person(&bea, "GET", "/api/v1/session", None).status, 200, "the session that changed it goes on");

    assert_eq!(site.person(&ann, "PUT", "/api/v1/people/bea", Some(&json!({ "role": "approver" }))).status, 200);
    assert_eq!(site.person(&bea, "GET", "/api/v1/session", None).status, 401, "sessions of another role end");
    for (method, body) in [("PUT", Some(json!({ "role": "viewer" }))), ("DELETE", None)] {
        assert_eq!(
            site.person(&ann, method, "/api/v1/people/ann", body.as_ref()).status,
            409,
            "nobody takes its own role away"
        );
    }
    assert_eq!(site.person(&ann, "DELETE", "/api/v1/people/bea", None).status, 200);
    assert_eq!(site.person(&ann, "DELETE", "/api/v1/people/bea", None).status, 404);
    let person = |name: &str, password: &str| json!({ "name": name, "role": "viewer", "password": password });
    for (wrong, status) in
        [(person("a b", PASSWORD), 422), (person("eve", "short"), 422), (person("ann", PASSWORD), 409)]
    {
        assert_eq!(site.person(&ann, "POST", "/api/v1/people", Some(&wrong)).status, status, "{wrong}");
    }
}

/// Hashing a password takes a while, in which its person may be removed or changed. How long differs: so the change comes sooner and later, from round to
/// round, and in some comes while it is hashed.
#[test]
fn whoever_is_changed_while_it_signs_in_gets_no_session_of_before() {
    let site = Site::start();
    site.add("ann", "admin");
    let ann = site.session("ann");
    let began = Instant::now();
    site.session("ann");
    let takes = began.elapsed();
    let during = |round: u32, meanwhile: &dyn Fn(), does: &(dyn Fn() -> Answer + Sync)| {
        std::thread::scope(|scope| {
            let answer = scope.spawn(does);
            std::thread::sleep(takes * round / 6);
            meanwhile();
            answer.join().expect("an answer")
        })
    };
    for round in 0..6 {
        let name = format!("bea{round}");
        let path = format!("/api/v1/people/{name}");
        site.add(&name, "admin");
        // Removed while it signs in, or just before or after: there is no session of it in the end.
        let remove = || assert_eq!(site.person(&ann, "DELETE", &path, None).status, 200);
        let answer = during(round, &remove, &|| site.login(&name, PASSWORD));
        assert_eq!(answer.status == 200, answer.header("set-cookie").is_some(), "{}", answer.body);
        if let Some(cookie) = answer.header("set-cookie") {
            let csrf = answer.json()["csrf"].as_str().expect("text").to_owned();
            let session = Session(cookie.split(';').next().expect("a pair").to_owned(), csrf);
            assert_eq!(site.person(&session, "GET", "/api/v1/session", None).status, 401, "{name} is removed");
        } else {
            assert_eq!(answer.status, 401, "{}", answer.body);
        }
        // Removed while it changes its password: it is not there again by that.
        let name = format!("cid{round}");
        let path = format!("/api/v1/people/{name}");
        site.add(&name, "admin");
        let cid = site.session(&name);
        let change = json!({ "old": PASSWORD, "new": "eight blue bicycles" });
        let remove = || assert_eq!(site.person(&ann, "DELETE", &path, None).status, 200);
        let answer = during(round, &remove, &|| site.person(&cid, "PUT", "/api/v1/session/password", Some(&change)));
        assert!([200, 401, 403].contains(&answer.status), "{}", answer.body);
        let people = site.tool("GET", "/api/v1/people", None).body;
        assert!(!people.contains(&name), "{people}");
        // Removed while it lets somebody else sign in: that is done before, or not at all.
        let name = format!("eve{round}");
        let path = format!("/api/v1/people/{name}");
        site.add(&name, "admin");
        let eve = site.session(&name);
        let friend = json!({ "name": format!("fay{round}"), "role": "admin", "password": PASSWORD });
        let listed = |person: &str| site.tool("GET", "/api/v1/people", None).body.contains(person);
        let there = std::cell::Cell::new(false);
        let remove = || {
            assert_eq!(site.person(&ann, "DELETE", &path, None).status, 200);
            there.set(listed(&format!("fay{round}")));
        };
        let answer = during(round, &remove, &|| site.person(&eve, "POST", "/api/v1/people", Some(&friend)));
        assert_eq!(answer.status, if there.get() { 200 } else { 401 }, "{}", answer.body);
        assert_eq!(listed(&format!("fay{round}")), there.get(), "nobody came after {name} was gone");
        // Another role while it changes its password: that stays.
        let name = format!("dan{round}");
        let path = format!("/api/v1/people/{name}");
        site.add(&name, "admin");
        let dan = site.session(&name);
        let demote = || assert_eq!(site.person(&ann, "PUT", &path, Some(&json!({ "role": "viewer" }))).status, 200);
        during(round, &demote, &|| site.person(&dan, "PUT", "/api/v1/session/password", Some(&change)));
        let people = site.tool("GET", "/api/v1/people", None).json();
        let known =
            people.as_array().expect("people").iter().find(|p| p["name"] == name.as_str()).expect("it is there");
        assert_eq!(known["role"], "viewer", "{name}");
    }
}

/// What each role may reach; whatever is not listed here takes an admin.
const VIEWING: &[(&str, &str)] = &[
    ("GET", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("PUT", "/api/v1/session/password"),
    ("GET", "/api/v1/status"),
    ("GET", "/api/v1/projects"),
    ("GET", "/api/v1/projects/{project}/examination"),
    ("GET", "/api/v1/projects/{project}/tables"),
    ("GET", "/api/v1/tables"),
    ("GET", "/api/v1/models"),
    ("GET", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/{job}"),
    ("GET", "/api/v1/jobs/{job}/events"),
    ("GET", "/api/v1/jobs/{job}/timeline"),
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/audit/entries"),
    ("GET", "/api/v1/policy"),
];
const APPROVING: &[(&str, &str)] = &[("POST", "/api/v1/jobs/{job}/votes")];

#[test]
fn every_route_asks_for_its_role() {
    let site = Site::start();
    for (name, role) in [("vic", "viewer"), ("bea", "approver"), ("ann", "admin")] {
        site.add(name, role);
    }
    let sessions = ["vic", "bea", "ann"].map(|name| site.session(name));
    let operations = site.operations();
    let listed = VIEWING.iter().chain(APPROVING).map(|(method, path)| ((*method).to_owned(), (*path).to_owned()));
    assert!(listed.into_iter().all(|operation| operations.contains(&operation)), "{operations:?}");
    let signs_in =
        |method: &str, path: &str| path == "/api/v1/session/provider" || (method, path) == ("POST", "/api/v1/session");
    for (method, path) in operations.iter().filter(|(method, path)| !signs_in(method, path)) {
        let named = |list: &[(&str, &str)]| list.contains(&(method.as_str(), path.as_str()));
        let least = if named(VIEWING) {
            0
        } else if named(APPROVING) {
            1
        } else {
            2
        };
        let filled = path
            .replace("{job}", "ffffffff")
            .replace("{name}", "nobody")
            .replace("{project}", "nothing")
            .replace("{organisation}", "nobody")
            .replace("{id}", "0");
        assert_eq!(site.ask(method, &filled, &[], None).status, 401, "{method} {path}");
        for (rank, session) in sessions.iter().enumerate().filter(|(rank, _)| *rank < least || method == "GET") {
            let answer = site.person(session, method, &filled, None);
            match rank < least {
                true => {
                    assert!(answer.status == 403 && answer.body.contains("role"), "{method} {path}: {}", answer.body)
                }
                false => {
                    assert!([200, 404].contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body)
                }
            }
        }
    }
    // Whoever may vote gets as far as the job, which is not there.
    let vote = json!({ "decision": "approve", "reason": "read", "person": "somebody-else" });
    let answer = site.person(&sessions[1], "POST", "/api/v1/jobs/ffffffff/votes", Some(&vote));
    assert_eq!(answer.status, 404, "{}", answer.body);
}

#[test]
fn forged_requests_are_turned_away() {
    let site = Site::start();
    site.add("ann", "admin");
    let session = site.session("ann");
    let cookie = ("cookie", session.0.as_str());
    let project = json!("fraud");
    let found = |headers: &[(&str, &str)]| site.ask("POST", "/api/v1/projects", headers, Some(&project)).status;
    assert_eq!(found(&[cookie]), 403, "a cookie alone, as any site can have it sent");
    assert_eq!(
        site.ask("GET", "/api/v1/jobs", &[cookie], None).status,
        403,
        "nor is it enough to read: other ports see cookies"
    );
    assert_eq!(found(&[cookie, ("x-privity-csrf", &"0".repeat(64))]), 403);
    let csrf = ("x-privity-csrf", session.1.as_str());
    assert_eq!(found(&[cookie, csrf, ("origin", "http://example.org")]), 403, "another site");
    assert_eq!(found(&[cookie, csrf, ("host", "rebound.example.org:7700")]), 403, "a name that was made to point here");
    let own = format!("http://{}", site.address);
    assert_eq!(found(&[cookie, csrf, ("origin", &own)]), 200);
    let foreign = [("origin", "http://example.org")];
    let login = site.ask("POST", "/api/v1/session", &foreign, Some(&json!({ "name": "ann", "password": PASSWORD })));
    assert_eq!(login.status, 403, "nobody is signed in from another site");
    let other_port = ("sec-fetch-site", "same-site");
    assert_eq!(
        found(&[cookie, csrf, ("origin", &own), other_port]),
        403,
        "a page of another port, as its browser says"
    );
    let read = |headers: &[(&str, &str)]| site.ask("GET", "/api/v1/jobs", headers, None).status;
    assert_eq!(read(&[cookie, csrf, other_port]), 403);
    assert_eq!(read(&[cookie, csrf, ("sec-fetch-site", "same-origin")]), 200);
}

/// What no digest or name can be is not there, and leaves nothing in the log.
#[test]
fn odd_names_are_not_there() {
    let site = Site::start();
    let size = || site.tool("GET", "/api/v1/audit", None).json()["size"].as_u64().expect("a size");
    let before = size();
    // Examinations have a bucket of three: a node that has just started answers that many, each with what is so.
    for odd in ["%00", "%f0%9f%8f%a6", &"x".repeat(3000)] {
        let answer = site.tool("GET", &format!("/api/v1/projects/{odd}/examination"), None);
        assert!(answer.status == 404 && answer.body.contains("E1006"), "{odd}: {} {}", answer.status, answer.body);
        assert!(answer.body.len() < 3500 && !answer.body.contains('\0'), "{}", answer.body);
    }
    for odd in ["%00", "a%00b", "%2e%2e", "%f0%9f%8f%a6", &"x".repeat(3000), "ffffffff%00"] {
        for (method, path) in [
            ("GET", format!("/api/v1/jobs/{odd}")),
            ("GET", format!("/api/v1/jobs/{odd}/events")),
            ("GET", format!("/api/v1/jobs/{odd}/timeline")),
            ("GET", format!("/api/v1/projects/{odd}/tables")),
            ("DELETE", format!("/api/v1/tables/{odd}")),
            ("DELETE", format!("/api/v1/people/{odd}")),
        ] {
            let answer = site.tool(method, &path, None);
            assert!(
                answer.status == 404 && answer.body.contains("E1006"),
                "{method} {path}: {} {}",
                answer.status,
                answer.body
            );
            assert!(answer.body.len() < 3500 && !answer.body.contains('\0'), "{}", answer.body);
        }
    }
    assert_eq!(size(), before);
}

#[test]
fn whoever_asks_too_often_waits() {
    let site = Site::start();
    site.add("ann", "viewer");
    let session = site.session("ann");
    let guesses: Vec<u16> = (0..6).map(|_| site.login("ann", "seven green bicyclez").status).collect();
    assert_eq!(guesses, [401, 401, 401, 401, 401, 429]);
    assert_eq!(site.login("ann", PASSWORD).status, 429, "guessing does not go on with the right one");
    let asked = (0..400).map(|_| site.person(&session, "GET", "/api/v1/session", None));
    let limited = asked.into_iter().find(|answer| answer.status == 429).expect("a limit");
    assert!(limited.body.contains("E1010"), "{}", limited.body);
    assert_eq!(site.tool("GET", "/api/v1/status", None).status, 200, "tools have limits of their own");
}

#[test]
fn every_answer_has_its_headers() {
    let site = Site::start();
    for path in [
        "/",
        "/assets/app.js",
        "/assets/style.css",
        "/assets/none.js",
        "/api/v1/status",
        "/api/v1/openapi.json",
        "/none",
    ] {
        let answer = site.ask("GET", path, &[], None);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
    assert!(site.ask("GET", "/", &[], None).body.contains("/assets/app.js"));
}

/// Every file of the dashboard is served, and brings nothing in that its policy forbids.
#[test]
fn pages_hold_to_their_policy() {
    let site = Site::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
    let names = std::fs::read_dir(folder.clone())
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a name"));
    for name in names {
        let text = std::fs::read_to_string(folder.join(&name)).expect("text");
        if name == "index.html" {
            assert!(
                !text.contains("style=") && !text.contains("<style") && !text.contains(" onclick"),
                "something inline"
            );
            assert!(
                text.matches("<script").count() == 1
                    && text.contains("<script type=\"module\" src=\"/assets/app.js\"></script>")
            );
            continue;
        }
        let answer = site.ask("GET", &format!("/assets/{name}"), &[], None);
        assert_eq!((answer.status, answer.body == text), (200, true), "{name}");
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "https://",
            "cssText",
        ] {
            assert!(!text.contains(sink), "{name} has {sink}");
        }
        for import in text.lines().filter(|line| line.starts_with("import ")) {
            let file =
                import.rsplit_once("\"./").and_then(|(_, rest)| rest.strip_suffix("\";")).expect("a file beside it");
            assert_eq!(site.ask("GET", &format!("/assets/{file}"), &[], None).status, 200, "{name}: {import}");
        }
    }
}

/// Routes are only made of handlers with a description, so that what the router has and what the document says are the same.
#[test]
fn every_route_is_described() {
    let site = Site::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).expect("a source file");
    let router = read("admin.rs");
    let sources = ["people", "members", "audit", "catalogue", "models", "policy", "provider"]
        .map(|file| read(&format!("admin/{file}.rs")));
    let described: BTreeSet<(String, String)> = std::iter::once(&router)
        .chain(&sources)
        .flat_map(|source| {
            source
                .split("#[utoipa::path(")
                .skip(1)
                .map(|rest| {
                    (
                        rest.split(',').next().expect("a method").trim().to_uppercase(),
                        rest.split("path = \"").nth(1).and_then(|p| p.split('"').next()).expect("a path").to_owned(),
                    )
                })
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(site.operations(), described);
    let routed: usize =
        router.split("routes!(").skip(1).map(|rest| rest.split(')').next().expect("an end").split(',').count()).sum();
    assert_eq!(routed, described.len(), "handlers in routes!(...)");
    let beside: BTreeSet<&str> = router.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(
        beside,
        BTreeSet::from(["/", "/oidc", "/api/v1/openapi.json", "/assets/{name}"]),
        "the page and the document itself"
    );
    // Each is there: it says who is not let in, not that there is nothing.
    for (method, path) in &described {
        let filled = path.replace(['{', '}'], "");
        let answer = site.ask(method, &filled, &[], None);
        // This node has no identity provider, and says so.
        let none = answer.status == 404 && answer.body.contains("E1006 there is no identity provider");
        assert!(none || ![404, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
    }
}

/// A policy of one rule.
const OWN: &str = r#"@id("ours")
@approvers("1")
permit (principal, action == Action::"run", resource);
"#;

#[test]
fn the_policy_is_read_tried_and_changed() {
    let site = Site::start();
    let file = site.home.path().join("policy.cedar");
    site.add("ann", "admin");
    site.add("vic", "viewer");
    let (ann, vic) = (site.session("ann"), site.session("vic"));
    let read = || site.person(&vic, "GET", "/api/v1/policy", None).json();
    let built_in = read();
    assert_eq!((&built_in["text"], &built_in["built_in"]), (&json!(privity_policy::DEFAULT), &json!(true)));
    let before = built_in["digest"].as_str().expect("a digest");
    assert_eq!(before, privity_policy::Policy::people().digest());

    let check = |text: &str| site.person(&ann, "POST", "/api/v1/policy/check", Some(&json!({ "text": text })));
    let good = check(OWN).json();
    assert_eq!((&good["rules"][0]["name"], &good["problem"]), (&json!("ours"), &json!(null)));
    let wrong = format!("{OWN}@id(\"ours\")\nforbid (principal, action == Action::\"run\", resource);\n");
    let problem = check(&wrong).json()["problem"].clone();
    assert_eq!(problem["line"], json!(4), "{problem}");
    assert_eq!(check(&" ".repeat(1 << 20)).status, 413, "longer than any request may be");
    assert!(!file.exists() && read() == built_in, "trying changes nothing");

    let take = |who: &Session, text: &str, replaces: &str| {
        site.person(who, "PUT", "/api/v1/policy", Some(&json!({ "text": text, "replaces": replaces })))
    };
    assert_eq!(take(&vic, OWN, before).status, 403);
    let refused = take(&ann, &wrong, before);
    assert!(refused.status == 422 && refused.body.contains("E1013 policy, line 4"), "{}", refused.body);
    assert_eq!(take(&ann, OWN, "of-another").status, 409, "not what she has read");
    assert!(!file.exists() && read() == built_in, "what is refused changes nothing");
    let taken = take(&ann, OWN, before);
    assert_eq!(taken.status, 200, "{}", taken.body);
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), OWN);
    let used = read();
    assert_eq!((used["text"].as_str(), &used["built_in"]), (Some(OWN), &json!(false)));
    assert_eq!(take(&ann, privity_policy::DEFAULT, before).status, 409, "what was in use is not any more");
    let newest = site.tool("GET", "/api/v1/audit/entries?limit=1", None).json()["entries"][0]["record"].clone();
    assert_eq!(
        newest,
        json!({ "kind": "policy", "digest": used["digest"], "by": "ann" }),
        "who changed it is in the log"
    );
    let left: Vec<_> =
        std::fs::read_dir(site.home.path()).expect("a folder").map(|e| e.expect("a file").path()).collect();
    assert!(!left.contains(&file.with_extension("new")), "{left:?}");

    std::fs::write(&file, &wrong).expect("a file");
    let shown = read();
    assert_eq!(
        (&shown["text"], &shown["problem"]["line"]),
        (&json!(OWN), &json!(4)),
        "what is in use, and what is not"
    );
    assert_eq!(take(&ann, privity_policy::DEFAULT, used["digest"].as_str().expect("a digest")).status, 200);
    assert_eq!((&read()["text"], &read()["problem"]), (&json!(privity_policy::DEFAULT), &json!(null)));
}

#[test]
fn the_log_is_read_newest_first() {
    let site = Site::start();
    let founded = site.tool("POST", "/api/v1/projects", Some(&json!("fraud")));
    assert_eq!(founded.status, 200, "{}", founded.body);
    let page = site.tool("GET", "/api/v1/audit/entries?limit=1", None).json();
    assert_eq!(page["entries"][0]["record"]["kind"], "joined");
    site.add("ann", "viewer");
    let newest = site.tool("GET", "/api/v1/audit/entries?limit=1", None).json()["entries"][0]["record"].clone();
    let person = json!({ "kind": "person", "name": "ann", "event": "may sign in as viewer", "by": "the node's token" });
    assert_eq!(newest, person, "who may sign in is in the log");
    let before = page["before"].as_u64().expect("more");
    let older = site.tool("GET", &format!("/api/v1/audit/entries?before={before}&limit=200"), None).json();
    assert_eq!(older["entries"].as_array().and_then(|e| e.last()).expect("an entry")["record"]["kind"], "begun");
    assert!(older["before"].is_null(), "the first entry was read");
    let none = site.tool("GET", "/api/v1/audit/entries?job=ffff", None).json();
    assert_eq!(none["entries"], json!([]));
    let standing = site.tool("GET", "/api/v1/audit", None).json();
    assert!(
        standing["size"].as_u64() >= Some(2) && standing["closed"].is_null() && standing["witnesses"] == json!([]),
        "{standing}"
    );
}
