//! Signing in at an identity provider, which is played here: what its answers must be, whose names and roles they give, and that the node does without it.

mod common;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::port;
use openidconnect::core::{CoreHmacKey, CoreJwsSigningAlgorithm as Alg};
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier, PrivateSigningKey};
use privity_api::{Member, Project, Statement};
use privity_job::JobFile;
use privity_node::store::Store;
use privity_node::{Config, daemon, home, now};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const PASSWORD: &str = "seven green bicycles";
const SECRET: &str = "a-secret-of-the-client";

/// A key of the provider's, of one of the kinds that providers have.
struct Key {
    kind: &'static str,
    pair: rcgen::KeyPair,
}

/// The two integers of a DER sequence: of a key of RSA, or of a signature of ECDSA. Without leading zeros.
fn two(der: &[u8]) -> [Vec<u8>; 2] {
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, from) = match usize::from(der[1]) {
            short @ 0..0x80 => (short, 2),
            long => {
                let bytes = &der[2..2 + (long & 0x7f)];
                (bytes.iter().fold(0, |all, byte| (all << 8) | usize::from(*byte)), 2 + bytes.len())
            }
        };
        (&der[from..from + length], &der[from + length..])
    }
    let (first, rest) = element(element(der).0);
    [first, element(rest).0].map(|number| number.iter().copied().skip_while(|byte| *byte == 0).collect())
}

impl Key {
    fn new(kind: &'static str) -> Key {
        let pair = match kind {
            "RS256" => rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
            "ES256" => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            _ => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
        };
        Key { kind, pair: pair.expect("a key") }
    }
    /// What the provider publishes of it.
    fn public(&self) -> Value {
        let raw = self.pair.public_key_raw();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match self.kind {
            "RS256" => {
                let [n, e] = two(raw);
                json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
            }
            "ES256" => json!({ "kty": "EC", "crv": "P-256", "x": text(&raw[1..33]), "y": text(&raw[33..]) }),
            _ => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(raw) }),
        };
        (key["kid"], key["use"], key["alg"]) = (json!("one"), json!("sig"), json!(self.kind));
        key
    }
    fn sign(&self, text: &str) -> Vec<u8> {
        let signature = rcgen::SigningKey::sign(&self.pair, text.as_bytes()).expect("a signature");
        match self.kind {
            "ES256" => {
                let wide = |number: Vec<u8>| [vec![0; 32 - number.len()], number].concat();
                two(&signature).map(wide).concat()
            }
            _ => signature,
        }
    }
    /// Texts that a careless verifier takes for the secret of HS256: all that is public.
    fn secrets(&self) -> Vec<Vec<u8>> {
        let der = rcgen::PublicKeyData::subject_public_key_info(&self.pair);
        let raw = self.pair.public_key_raw().to_vec();
        let mut secrets = vec![der, self.pair.public_key_pem().into_bytes(), self.public().to_string().into_bytes()];
        if self.kind == "RS256" {
            secrets.extend(two(&raw));
        }
        secrets.push(raw);
        secrets
    }
}

/// How the provider answers next.
#[derive(Clone, Default)]
struct Next {
    /// Claims of the token, in the place of right ones.
    claims: Value,
    /// What the token says of its signature.
    algorithm: Option<&'static str>,
    /// Signed with a key that is not the provider's.
    forged: bool,
    /// Signed by HS256 under this secret.
    secret: Option<Vec<u8>>,
}

/// The provider.
struct Played {
    address: String,
    key: Key,
    other: Key,
    next: Mutex<Next>,
    /// PKCE challenge and nonce of the sign-in that is on its way, by code.
    codes: Mutex<BTreeMap<String, (String, String)>>,
}

impl Played {
    fn start(runtime: &Runtime, kind: &'static str) -> (Arc<Played>, JoinHandle<()>) {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let played = Played {
            address,
            key: Key::new(kind),
            other: Key::new(kind),
            next: Mutex::default(),
            codes: Mutex::default(),
        };
        let played = Arc::new(played);
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(played.clone());
        let serving = runtime.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        (played, serving)
    }
    fn token(&self, nonce: &str) -> String {
        let next = self.next.lock().expect("no panic").clone();
        let mut claims = json!({
            "iss": self.address, "aud": "privity", "sub": "1", "exp": now() + 300, "iat": now(), "nonce": nonce,
            "preferred_username": "ann@bank-a.example", "realm": { "roles": ["officers", "staff"] },
        });
        for (key, value) in next.claims.as_object().into_iter().flatten() {
            claims[key] = value.clone();
        }
        let head = json!({ "alg": next.algorithm.unwrap_or(self.key.kind), "kid": "one", "typ": "JWT" });
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(head.to_string().as_bytes()),
            URL_SAFE_NO_PAD.encode(claims.to_string().as_bytes())
        );
        let signature = match (&next.secret, next.algorithm) {
            (Some(secret), _) => {
                let key = CoreHmacKey::new(secret.clone());
                key.sign(&Alg::HmacSha256, text.as_bytes()).expect("a signature")
            }
            (None, Some("none")) => Vec::new(),
            (None, _) if next.forged => self.other.sign(&text),
            (None, _) => self.key.sign(&text),
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(&signature))
    }
}

async fn discovery(State(played): State<Arc<Played>>) -> Json<Value> {
    let at = |path: &str| format!("{}/{path}", played.address);
    Json(json!({
        "issuer": played.address, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"), "jwks_uri": at("keys"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": [played.key.kind, "HS256", "none"],
    }))
}

async fn keys(State(played): State<Arc<Played>>) -> Json<Value> {
    Json(json!({ "keys": [played.key.public()] }))
}

/// Gives a token for a code, once, to whoever has the client's secret and what the challenge is of.
async fn token(State(played): State<Arc<Played>>, headers: HeaderMap, body: String) -> Response {
    let form = reqwest::Url::parse(&format!("http://form/?{body}")).expect("a form");
    let form: BTreeMap<String, String> = form.query_pairs().into_owned().collect();
    let expected = format!("Basic {}", STANDARD.encode(format!("privity:{SECRET}")));
    let known = played.codes.lock().expect("no panic").remove(&form["code"]);
    let fits = |(challenge, _): &(String, String)| {
        let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
        PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str() == challenge
    };
    let Some((_, nonce)) = known.filter(fits).filter(|_| headers["authorization"] == expected) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant", "error_description": form["code"] })))
            .into_response();
    };
    Json(json!({ "access_token": "of-no-use", "token_type": "Bearer", "id_token": played.token(&nonce) }))
        .into_response()
}

/// A node with this provider.
struct Site {
    runtime: Runtime,
    address: String,
    token: String,
    played: Arc<Played>,
    serving: JoinHandle<()>,
    /// The node, in a runtime of its own: nothing is left of it when it is stopped.
    running: Option<(Runtime, daemon::Running)>,
    folder: tempfile::TempDir,
}

/// Status, text and cookie of an answer.
type Answer = (u16, String, Option<String>);

impl Site {
    fn start(provider: bool) -> Site {
        Site::with("EdDSA", provider, "")
    }
    /// With a provider whose keys are of a kind, and more lines of configuration.
    fn with(kind: &'static str, provider: bool, more: &str) -> Site {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a directory");
        let (played, serving) = Played::start(&runtime, kind);
        let own = || format!("127.0.0.1:{}", port());
        let text = format!("organisation = \"bank-a\"\nlisten = \"{}\"\nadmin = \"{}\"\n{more}", own(), own());
        let config = Config::parse(&text, |_| None).expect("a configuration");
        daemon::init(folder.path(), &config).expect("a node's directory");
        let token = std::fs::read_to_string(home::token(folder.path())).expect("a token").trim().to_owned();
        let (address, running) = (config.admin, None);
        let mut site = Site { runtime, address, token, played, serving, running, folder };
        if provider {
            site.configure();
        }
        site.serve();
        site
    }
    /// Names the provider in the configuration.
    fn configure(&self) {
        let table = format!(
            "[oidc]\nissuer = \"{}\"\nclient_id = \"privity\"\nclient_secret_file = \"oidc.secret\"\nname = \"Bank A\"\nroles_claim = \"realm.roles\"\n\
             [oidc.roles]\nguests = \"viewer\"\nofficers = \"approver\"\nheads = \"admin\"\n",
            self.played.address
        );
        let file = self.folder.path().join("node.toml");
        let before = std::fs::read_to_string(&file).expect("a file");
        std::fs::write(&file, format!("{before}\n{table}")).expect("a file");
        std::fs::write(self.folder.path().join("oidc.secret"), format!("{SECRET}\n")).expect("a file");
    }
    fn serve(&mut self) {
        let runtime = Runtime::new().expect("a runtime");
        let running = runtime.block_on(daemon::start(self.folder.path())).expect("a node");
        self.running = Some((runtime, running));
    }
    fn stop(&mut self) {
        if let Some((runtime, running)) = self.running.take() {
            runtime.block_on(running.drain());
        }
    }
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let mut request =
                client.request(method.parse().expect("a method"), format!("http://{}{path}", self.address));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body.to_string());
            }
            let answer = request.send().await.expect("the node answers");
            let cookie = answer.headers().get("set-cookie").map(|v| v.to_str().expect("text").to_owned());
            (answer.status().as_u16(), answer.text().await.expect("text"), cookie)
        })
    }
    fn tool(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask(method, path, &[("authorization", &format!("Bearer {}", self.token))], body)
    }
    fn person(&self, session: &(String, String), method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask(method, path, &[("cookie", &session.0), ("x-privity-csrf", &session.1)], body)
    }
    /// Goes to the provider, and comes back: what the page hands over.
    fn visit(&self) -> Value {
        let (status, text, _) = self.ask("POST", "/api/v1/session/provider", &[], None);
        assert_eq!(status, 200, "{text}");
        let begun: Value = serde_json::from_str(&text).expect("JSON");
        let url = reqwest::Url::parse(begun["url"].as_str().expect("a URL")).expect("a URL");
        assert!(url.as_str().starts_with(&format!("{}/authorize?", self.played.address)), "{url}");
        let said: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(said["redirect_uri"], format!("http://{}/oidc", self.address));
        assert_eq!((said["response_type"].as_str(), said["code_challenge_method"].as_str()), ("code", "S256"));
        assert_eq!((said["scope"].as_str(), said["client_id"].as_str()), ("openid profile", "privity"));
        assert!(!url.as_str().contains(begun["key"].as_str().expect("a key")), "what the page keeps goes nowhere");
        let code = format!("code-{}", said["state"]);
        let kept = (said["code_challenge"].clone(), said["nonce"].clone());
        self.played.codes.lock().expect("no panic").insert(code.clone(), kept);
        json!({ "code": code, "state": said["state"], "key": begun["key"] })
    }
    fn hand_over(&self, back: &Value) -> Answer {
        self.ask("PUT", "/api/v1/session/provider", &[], Some(back))
    }
    /// Signs in, the provider answering like this.
    fn sign_in(&self, next: Next) -> Answer {
        *self.played.next.lock().expect("no panic") = next;
        self.hand_over(&self.visit())
    }
    fn claims(&self, claims: Value) -> Answer {
        self.sign_in(Next { claims, ..Next::default() })
    }
    /// A session, and what the node says of it.
    fn session(&self, (status, text, cookie): Answer) -> ((String, String), Value) {
        assert_eq!(status, 200, "{text}");
        let who: Value = serde_json::from_str(&text).expect("JSON");
        let cookie = cookie.expect("a cookie");
        assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        ((cookie, who["csrf"].as_str().expect("text").to_owned()), who)
    }
    fn local(&self, name: &str, role: &str) -> u16 {
        let person = json!({ "name": name, "role": role, "password": PASSWORD });
        self.tool("POST", "/api/v1/people", Some(&person)).0
    }
    fn login(&self, name: &str) -> Answer {
        self.ask("POST", "/api/v1/session", &[], Some(&json!({ "name": name, "password": PASSWORD })))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn people_sign_in_with_the_role_that_the_provider_gives() {
    let site = Site::start(true);
    let (_, offered, _) = site.ask("GET", "/api/v1/session/provider", &[], None);
    assert_eq!(offered, "{\"name\":\"Bank A\"}");
    assert!(
        site.ask("GET", "/oidc?code=x&state=y", &[], None).1.contains("/assets/app.js"),
        "the page reads the address"
    );
    for (subject, groups, role) in [
        ("1", json!(["officers", "staff"]), "approver"),
        ("2", json!("guests"), "viewer"),
        ("3", json!(["guests", "heads", 7]), "admin"),
    ] {
        let claims = json!({ "sub": subject, "preferred_username": format!("p{subject}@bank-a.example"), "realm": { "roles": groups } });
        let (session, who) = site.session(site.claims(claims));
        assert_eq!(
            (who["person"].as_str(), who["role"].as_str()),
            (Some(&*format!("p{subject}_bank-a.example")), Some(role))
        );
        assert_eq!(who["provider"], true);
        assert_eq!(site.person(&session, "GET", "/api/v1/jobs", None).0, 200);
        assert_eq!(
            site.ask("GET", "/api/v1/jobs", &[("cookie", &session.0)], None).0,
            403,
            "a cookie alone is worth nothing"
        );
        let allowed = site.person(&session, "POST", "/api/v1/projects", Some(&json!(format!("p{subject}")))).0;
        assert_eq!(allowed, if role == "admin" { 200 } else { 403 });
    }
    // Another role ends sessions with the one before.
    let as_one = |groups: Value| json!({ "preferred_username": "p1@bank-a.example", "realm": { "roles": groups } });
    let (before, _) = site.session(site.claims(as_one(json!(["officers"]))));
    let (_, who) = site.session(site.claims(as_one(json!(["guests"]))));
    assert_eq!((who["role"].as_str(), site.person(&before, "GET", "/api/v1/jobs", None).0), (Some("viewer"), 401));
    let newest = site.tool("GET", "/api/v1/audit/entries?limit=1", None).1;
    assert!(newest.contains("may sign in as viewer, by the identity provider"), "{newest}");
}

#[test]
fn what_is_not_an_answer_of_the_provider_signs_nobody_in() {
    let site = Site::start(true);
    let claims = |claims: Value| Next { claims, ..Next::default() };
    let right = Next::default;
    let by = |secret| Next { algorithm: Some("HS256"), secret: Some(secret), ..right() };
    for (what, next, status) in [
        ("another nonce", claims(json!({ "nonce": "another" })), 502),
        ("no nonce", claims(json!({ "nonce": null })), 502),
        ("another audience", claims(json!({ "aud": "somebody" })), 502),
        ("one more audience", claims(json!({ "aud": ["privity", "somebody"] })), 502),
        ("another issuer", claims(json!({ "iss": "https://somebody.example" })), 502),
        ("expired", claims(json!({ "exp": now() - 10 })), 502),
        ("of yesterday", claims(json!({ "iat": now() - 86_400 })), 502),
        ("of tomorrow", claims(json!({ "iat": now() + 86_400 })), 502),
        ("another's signature", Next { forged: true, ..right() }, 502),
        ("no signature", Next { algorithm: Some("none"), ..right() }, 502),
        ("a signature of another kind than it says", Next { algorithm: Some("HS256"), ..right() }, 502),
        ("the client's secret's signature", by(SECRET.as_bytes().to_vec()), 502),
        ("an unknown role", claims(json!({ "realm": { "roles": ["strangers"] } })), 403),
        ("no role", claims(json!({ "realm": {} })), 403),
        ("no name", claims(json!({ "preferred_username": null })), 403),
        ("a name without letters", claims(json!({ "preferred_username": "@@" })), 403),
        ("too long a name", claims(json!({ "preferred_username": "x".repeat(65) })), 403),
    ] {
        let (found, text, cookie) = site.sign_in(next);
        assert_eq!((found, cookie.is_none()), (status, true), "{what}: {text}");
        assert!(!text.contains(SECRET) && !text.contains("code-"), "{what}: {text}");
        println!("{what}: {text}");
    }
    *site.played.next.lock().expect("no panic") = right();
    // Once, and by the page that began.
    let back = site.visit();
    let mut stolen = back.clone();
    stolen["key"] = json!("00");
    assert_eq!(site.hand_over(&stolen).0, 401, "a state without the key that the page kept");
    let mut other = back.clone();
    other["state"] = json!("of-nobody");
    assert_eq!(site.hand_over(&other).0, 401);
    assert_eq!(site.hand_over(&back).0, 200);
    assert_eq!(site.hand_over(&back).0, 401, "a state is used once");
    // A code of another sign-in does not fit the challenge.
    let (one, two) = (site.visit(), site.visit());
    let mixed = json!({ "code": one["code"], "state": two["state"], "key": two["key"] });
    let (status, text, _) = site.hand_over(&mixed);
    assert!(status == 502 && text.contains("invalid_grant") && !text.contains("code-"), "{text}");
    let foreign = site.ask("PUT", "/api/v1/session/provider", &[("origin", "http://example.org")], Some(&site.visit()));
    assert_eq!(foreign.0, 403, "nobody is signed in from another site");
}

#[test]
fn a_name_is_one_person() {
    let site = Site::start(true);
    assert_eq!(site.local("Bea", "admin"), 200);
    let named = |subject: &str, name: &str| {
        site.claims(json!({ "sub": subject, "preferred_username": name, "realm": { "roles": ["heads"] } }))
    };
    assert_eq!(named("2", "bea").0, 403, "a local person has the name");
    let (_, who) = site.session(named("1", "ann"));
    assert_eq!(who["person"], "ann");
    // The name stays, whatever the provider calls that person by then, and nobody else gets it.
    let (ann, who) = site.session(named("1", "another"));
    assert_eq!(who["person"], "ann");
    assert_eq!((named("4", "ann").0, named("5", "Ann").0), (403, 403));
    assert_eq!(site.local("ANN", "viewer"), 409);
    assert_eq!(site.login("ann").0, 401, "no password leads to it");
    for change in [json!({ "role": "viewer" }), json!({ "password": PASSWORD })] {
        assert_eq!(site.tool("PUT", "/api/v1/people/ann", Some(&change)).0, 409);
    }
    // Whoever has a password, too, is not one more person: it wants nothing approved.
    let (bea, who) = site.session(site.login("Bea"));
    assert_eq!(who["provider"], false);
    let vote = |session: &(String, String), decision: &str| {
        let vote = json!({ "decision": decision, "reason": "read" });
        site.person(session, "POST", "/api/v1/jobs/ffffffff/votes", Some(&vote)).0
    };
    assert_eq!((vote(&bea, "approve"), vote(&bea, "deny"), vote(&ann, "approve")), (403, 404, 404));
    // Removed, its sessions end; the provider brings it back under no name, and nobody gets its own, until the node's tool forgets it.
    assert_eq!(site.tool("DELETE", "/api/v1/people/ann", None).0, 200);
    assert_eq!(site.person(&ann, "GET", "/api/v1/jobs", None).0, 401);
    assert_eq!((named("1", "ann").0, named("1", "anew").0, named("4", "ann").0), (403, 403, 403));
    assert_eq!((site.local("ANN", "viewer"), site.login("ann").0), (409, 401));
    assert_eq!(site.tool("DELETE", "/api/v1/people/ann", None).0, 200);
    assert_eq!(named("4", "ann").0, 200);
}

#[test]
fn without_the_provider_passwords_go_on() {
    let mut site = Site::start(true);
    assert_eq!(site.local("bea", "approver"), 200);
    site.serving.abort();
    let gone = site.runtime.block_on(&mut site.serving);
    assert!(gone.expect_err("it was told to").is_cancelled());
    let (status, text, _) = site.ask("POST", "/api/v1/session/provider", &[], None);
    assert!(status == 502 && text.starts_with("E1020 the identity provider"), "{text}");
    assert_eq!(site.login("bea").0, 200);

    let plain = Site::start(false);
    assert_eq!(plain.ask("GET", "/api/v1/session/provider", &[], None).1, "{\"name\":null}");
    assert_eq!(plain.ask("POST", "/api/v1/session/provider", &[], None).0, 404);
    assert_eq!(plain.local("bea", "approver"), 200);
    let (bea, _) = plain.session(plain.login("bea"));
    let vote = json!({ "decision": "approve", "reason": "read" });
    assert_eq!(
        plain.person(&bea, "POST", "/api/v1/jobs/ffffffff/votes", Some(&vote)).0,
        404,
        "without a provider passwords approve"
    );
}

/// Providers sign by RSA or ECDSA; whoever knows what of their keys is public signs nobody in.
#[test]
fn keys_of_each_kind_sign_in_and_public_ones_are_no_secrets() {
    for kind in ["RS256", "ES256", "EdDSA"] {
        let site = Site::with(kind, true, "");
        let (_, who) = site.session(site.sign_in(Next::default()));
        assert_eq!(who["person"], "ann_bank-a.example", "{kind}");
        let hmac = |secret| Next { algorithm: Some("HS256"), secret: Some(secret), ..Next::default() };
        let mut wrong: Vec<Next> = site.played.key.secrets().into_iter().map(hmac).collect();
        wrong.push(Next { forged: true, ..Next::default() });
        for algorithm in ["none", "None", "HS256", "RS256", "ES256", "EdDSA", "PS256"] {
            // Its own key, and what it says of the signature is not what that is.
            if algorithm != kind {
                wrong.push(Next { algorithm: Some(algorithm), ..Next::default() });
            }
        }
        for next in wrong {
            let what = format!("{kind}: {:?} {:?} {}", next.algorithm, next.secret.as_ref().map(Vec::len), next.forged);
            let (status, text, cookie) = site.sign_in(next);
            assert!(status == 502 && cookie.is_none() && text.contains("E1020"), "{what}: {status} {text}");
        }
        assert_eq!(site.sign_in(Next::default()).0, 200, "{kind}: none of that was in the way");
    }
}

/// Strangers have a bucket, which pages of other sites cannot empty, and which is not that of people who come back.
#[test]
fn nobody_keeps_people_from_coming_back() {
    let site = Site::start(true);
    let back = site.visit();
    for foreign in ["cross-site", "same-site"] {
        let page = [("sec-fetch-site", foreign), ("sec-fetch-mode", "no-cors")];
        assert!((0..150).all(|_| site.ask("GET", "/api/v1/session/provider", &page, None).0 == 403));
        assert_eq!(site.ask("PUT", "/api/v1/session/provider", &[("sec-fetch-site", foreign)], Some(&back)).0, 403);
        let navigates = [("sec-fetch-site", foreign), ("sec-fetch-mode", "navigate")];
        assert_eq!(site.ask("GET", "/oidc?code=x&state=y", &navigates, None).0, 200, "from the provider, as it is");
    }
    assert_eq!(site.ask("GET", "/api/v1/session/provider", &[], None).0, 200, "the bucket is not empty");
    // A process of this machine empties it.
    assert!((0..150).any(|_| site.ask("GET", "/api/v1/jobs", &[], None).0 == 429));
    // Also by what it says it was sent back with: it began none of that.
    let made_up = |i: usize| json!({ "code": "x", "state": format!("made-up-{i}"), "key": back["key"] });
    let answers: Vec<u16> = (0..60).map(|i| site.hand_over(&made_up(i)).0).collect();
    assert!(answers.iter().all(|status| [401, 429].contains(status)) && answers.contains(&429), "{answers:?}");
    assert_eq!(site.ask("GET", "/api/v1/session/provider", &[], None).0, 200, "the page still offers it");
    let own = [("sec-fetch-site", "same-origin")];
    assert_eq!(site.ask("PUT", "/api/v1/session/provider", &own, Some(&back)).0, 200);
}

/// Behind the organisation's own proxy the page has a public name.
#[test]
fn people_come_back_to_the_public_name() {
    let site = Site::with("ES256", true, "origin = \"https://privity.bank-a.example\"\n");
    let host = ("host", "privity.bank-a.example");
    let own = ("origin", "https://privity.bank-a.example");
    let (status, text, _) = site.ask("POST", "/api/v1/session/provider", &[host, own], None);
    assert_eq!(status, 200, "{text}");
    let begun: Value = serde_json::from_str(&text).expect("JSON");
    let url = reqwest::Url::parse(begun["url"].as_str().expect("a URL")).expect("a URL");
    let said: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(said["redirect_uri"], "https://privity.bank-a.example/oidc");
    let kept = (said["code_challenge"].clone(), said["nonce"].clone());
    site.played.codes.lock().expect("no panic").insert("one".into(), kept);
    let back = json!({ "code": "one", "state": said["state"], "key": begun["key"] });
    let (status, text, cookie) = site.ask("PUT", "/api/v1/session/provider", &[host, own], Some(&back));
    assert_eq!(status, 200, "{text}");
    let cookie = cookie.expect("a cookie");
    assert!(cookie.starts_with("__Host-privity_session=") && cookie.ends_with("; Secure"), "{cookie}");
    let csrf = serde_json::from_str::<Value>(&text).expect("JSON")["csrf"].as_str().expect("text").to_owned();
    let session = [("cookie", cookie.split(';').next().expect("a pair")), ("x-privity-csrf", csrf.as_str())];
    assert_eq!(site.ask("GET", "/api/v1/jobs", &[host, session[0], session[1]], None).0, 200);
    assert_eq!(site.ask("GET", "/api/v1/jobs", &session, None).0, 401, "not under another name");
    for (name, origin) in
        [("privity.bank-a.example", "http://127.0.0.1:7700"), ("other.bank-a.example", "https://other.bank-a.example")]
    {
        let headers = [("host", name), ("origin", origin), session[0], session[1]];
        assert_eq!(site.ask("POST", "/api/v1/projects", &headers, Some(&json!("fraud"))).0, 403, "{name} {origin}");
    }
    let token = format!("Bearer {}", site.token);
    assert_eq!(site.ask("GET", "/api/v1/jobs", &[host, ("authorization", &token)], None).0, 401, "tools ask here");
    assert_eq!(site.tool("GET", "/api/v1/jobs", None).0, 200);
    // As a proxy that passes on whatever name it was asked for would have a stranger's request come, if it says that it is one.
    let passed = [("authorization", token.as_str()), ("via", "1.1 proxy")];
    assert_eq!(site.ask("GET", "/api/v1/jobs", &passed, None).0, 403);
    // Whatever a proxy says of whom it speaks for changes no bucket.
    let guess = |from: &str| {
        let login = json!({ "name": "bea", "password": PASSWORD });
        site.ask("POST", "/api/v1/session", &[host, own, ("x-forwarded-for", from)], Some(&login)).0
    };
    let guesses: Vec<u16> = (0..6).map(|i| guess(&format!("192.0.2.{i}"))).collect();
    assert_eq!(guesses, [401, 401, 401, 401, 401, 429]);
}

/// A job that waits for four persons of this organisation.
fn submit(site: &Site) -> String {
    let participants: String = ["a", "b", "c"]
        .map(|name| format!("[[participants]]\nname = \"bank-{name}\"\naddress = \"x:1\"\nrows = 40\n\n"))
        .concat();
    let schema = common::SCHEMA.replace("[[columns]]", "[[data.schema.columns]]");
    let text = format!(
        "name = \"fraud\"\nprotocol = \"rep3\"\n\n{participants}{schema}\n[model]\nkind = \"logistic\"\n\n[training]\nepochs = 2\nbatch = 8\n"
    );
    let tables: BTreeMap<&str, &str> = ["bank-a", "bank-b", "bank-c"].map(|name| (name, "payments")).into();
    let draft = json!({
        "project": "fraud", "person": "tim", "purpose": "a joint model", "lasts": 3600, "attempts": 1, "tables": tables,
        "min_cohort": 10, "job": serde_json::to_value(JobFile::from_toml(&text).expect("a job file")).expect("JSON"),
    });
    let (status, text, _) = site.tool("POST", "/api/v1/jobs", Some(&draft));
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("a digest")
}

/// Only votes of those count who may approve now, in the way in which they did.
#[test]
fn votes_count_as_long_as_their_persons_may_approve() {
    let mut site = Site::start(false);
    site.stop();
    let home = site.folder.path().to_owned();
    let rule = "@id(\"four\")\n@approvers(\"4\")\npermit (principal, action == Action::\"run\", resource);\n";
    std::fs::write(home.join("policy.cedar"), rule).expect("a policy");
    let config = Config::load(&home).expect("a configuration");
    let root = privity_keys::open(&config.keys, &home).expect("a root");
    let member = |(name, port): (&str, u16), root: String| Member {
        organisation: name.into(),
        operator: name.into(),
        root,
        address: format!("127.0.0.1:{port}"),
        helper: false,
    };
    let own = root.fingerprint();
    let members = vec![
        member(("bank-a", 1), own.clone()),
        member(("bank-b", 2), "b".repeat(64)),
        member(("bank-c", 3), "c".repeat(64)),
    ];
    let project = Project { name: "fraud".into(), founder: "bank-a".into(), version: 1, members };
    let project = Statement::new(project, &*root).expect("a signature");
    site.runtime.block_on(async {
        let store = Store::open(&home).await.expect("a database");
        store.put_project(&own, &project).await.expect("it is kept");
    });
    site.serve();
    let digest = submit(&site);
    let voters = |site: &Site| {
        let details: Value =
            serde_json::from_str(&site.tool("GET", &format!("/api/v1/jobs/{digest}"), None).1).expect("JSON");
        assert_eq!(details["wanted"], 4);
        details["voters"]
            .as_array()
            .expect("persons")
            .iter()
            .map(|p| p.as_str().expect("text").to_owned())
            .collect::<Vec<_>>()
    };
    let vote = |site: &Site, session: &(String, String)| {
        let vote = json!({ "decision": "approve", "reason": "read" });
        site.person(session, "POST", &format!("/api/v1/jobs/{digest}/votes"), Some(&vote))
    };
    assert_eq!(voters(&site), ["tim"], "whom the tool named");
    for name in ["Ann", "bea"] {
        assert_eq!(site.local(name, "approver"), 200);
        let (session, _) = site.session(site.login(name));
        assert_eq!(vote(&site, &session).0, 200);
    }
    let mut all = voters(&site);
    all.sort();
    assert_eq!(all, ["Ann", "bea", "tim"]);
    // Whoever only looks by now counts no more, until it may approve again; whoever is removed counts no more.
    let role = |role: &str| site.tool("PUT", "/api/v1/people/Ann", Some(&json!({ "role": role }))).0;
    assert_eq!((role("viewer"), voters(&site).contains(&"Ann".into())), (200, false));
    assert_eq!((role("approver"), voters(&site).contains(&"Ann".into())), (200, true));
    assert_eq!(site.tool("DELETE", "/api/v1/people/bea", None).0, 200);
    assert!(!voters(&site).contains(&"bea".into()));

    // From here on people sign in at the provider: what they wanted with passwords is nothing any more.
    site.stop();
    site.configure();
    site.serve();
    assert_eq!(voters(&site), ["tim"]);
    let claims = json!({ "preferred_username": "carl", "realm": { "roles": ["officers"] } });
    let (carl, _) = site.session(site.claims(claims));
    let (status, text, _) = vote(&site, &carl);
    // In the order of their votes, which may have come within a second.
    let said = |names: &str| text.contains(&format!("2 of 4 persons have approved: {names}"));
    assert!(status == 200 && (said("tim, carl") || said("carl, tim")), "{text}");
    assert_eq!(voters(&site).len(), 2);
    // The provider lets them only look from here on.
    let claims = json!({ "preferred_username": "carl", "realm": { "roles": ["guests"] } });
    site.session(site.claims(claims));
    assert_eq!(voters(&site), ["tim"]);
}
