//! Who asks, and what they may do: tools show the node's token, people a session that they signed in for.

use super::limits::Limits;
use super::people::Role;
use crate::store::Vouched;
use crate::{NodeError, home};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A session ends so long after it began.
pub(super) const LASTS: Duration = Duration::from_secs(8 * 3600);
/// A session ends when its person has done nothing for so long. What a page asks by itself does not count.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// Sessions of all people together, and of one: its newest stay, so nobody's sessions keep others from signing in.
const MOST: usize = 1000;
const MOST_OF_ONE: usize = 10;
/// The header in which a page shows what it was told when its person signed in. It keeps it where pages of other sites and ports cannot read it.
pub(super) const CSRF: &str = "x-privity-csrf";
/// The header by which a page says that it asks by itself.
const POLL: &str = "x-privity-poll";

/// Under which name the node was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A loopback name: from this machine, or through a port that was forwarded to it.
    Here,
    /// The public name of the configuration: through the organisation's own proxy, which speaks TLS.
    Public,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The person who signed in; nobody for a tool.
    pub person: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Whether the identity provider says who it is.
    pub provider: bool,
    /// Which session.
    key: Option<[u8; 32]>,
    way: Way,
}

impl Caller {
    /// How it is known who that is.
    pub fn vouched(&self) -> Vouched {
        match (&self.person, self.provider) {
            (None, _) => Vouched::Tool,
            (Some(_), true) => Vouched::Provider,
            (Some(_), false) => Vouched::Password,
        }
    }
    /// For whom something is recorded: whoever signed in, whatever the request says. A tool says for whom it asks.
    pub fn person(&self, said: &str) -> String {
        self.person.clone().unwrap_or_else(|| said.to_owned())
    }
    /// The bucket of its requests.
    pub fn bucket(&self) -> String {
        self.key.map_or_else(|| "tool".into(), |key| privity_api::hex(&key))
    }
}

/// A session of a person, by the hash of its cookie.
struct Session {
    person: String,
    role: Role,
    provider: bool,
    /// Under which name it began: it counts under no other.
    way: Way,
    csrf: String,
    /// When it ends in any case.
    ends: Instant,
    /// When it ends if its person does nothing.
    idle: Instant,
}

/// Who may ask.
pub(super) struct Access {
    token: blake3::Hash,
    /// Browsers show cookies to all ports of a host: the name keeps nodes of one machine apart.
    cookie: String,
    /// `https://` and the public name, if there is one.
    origin: Option<String>,
    sessions: Mutex<BTreeMap<[u8; 32], Session>>,
    requests: Limits,
    tools: Limits,
    pub strangers: Limits,
    /// Examinations, which cost the links something.
    pub examinations: Limits,
    /// Questions for the tables of all members of a project.
    pub catalogues: Limits,
    /// Attempts to sign in, by name.
    pub names: Limits,
    /// The same, of all names: each takes memory and time.
    pub logins: Limits,
    /// Ways to the identity provider, each of which has the node ask it.
    pub leaving: Limits,
    /// And back from it.
    pub returning: Limits,
}

/// A cookie that browsers take only over TLS, for this host and no other, from this host itself.
const PUBLIC: &str = "__Host-privity_session";

impl Access {
    /// With the token of a node's directory, at a port; under a public origin, too, if there is one.
    pub fn new(token: &str, port: u16, origin: &str) -> Access {
        Access {
            origin: Some(origin.to_owned()).filter(|origin| !origin.is_empty()),
            token: blake3::hash(token.as_bytes()),
            cookie: format!("privity_session_{port}"),
            sessions: Mutex::default(),
            requests: Limits::new(200, 20.0),
            tools: Limits::new(3000, 1000.0),
            strangers: Limits::new(100, 5.0),
            examinations: Limits::new(3, 0.2),
            catalogues: Limits::new(10, 0.5),
            names: Limits::new(5, 1.0 / 60.0),
            logins: Limits::new(30, 1.0),
            leaving: Limits::new(30, 1.0),
            returning: Limits::new(30, 1.0),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Session>> {
        let mut sessions = crate::lock(&self.sessions);
        let now = Instant::now();
        sessions.retain(|_, s| now < s.ends && now < s.idle);
        sessions
    }

    /// A session for a person who has just shown its password, or whom the identity provider knows: what the browser is told to keep, and what the page is told.
    pub fn begin(&self, person: &str, role: Role, provider: bool, way: Way) -> Result<(String, String), NodeError> {
        let (cookie, csrf) = (home::random_hex(32)?, home::random_hex(32)?);
        let now = Instant::now();
        let (person, told, ends, idle) = (person.to_owned(), csrf.clone(), now + LASTS, now + IDLE);
        let session = Session { person, role, provider, way, csrf: told, ends, idle };
        let mut sessions = self.sessions();
        let own = sessions.iter().filter(|(_, s)| s.person == session.person);
        let (count, oldest) = (own.clone().count(), own.min_by_key(|(_, s)| s.ends).map(|(key, _)| *key));
        if let Some(oldest) = oldest.filter(|_| count >= MOST_OF_ONE) {
            sessions.remove(&oldest);
        }
        if sessions.len() >= MOST {
            return Err(NodeError::TooMany { seconds: 60 });
        }
        sessions.insert(*blake3::hash(cookie.as_bytes()).as_bytes(), session);
        Ok((self.cookie(way, &cookie, LASTS.as_secs()), csrf))
    }
    fn name(&self, way: Way) -> &str {
        if way == Way::Public { PUBLIC } else { &self.cookie }
    }
    /// What a browser is told to keep, and for how long.
    fn cookie(&self, way: Way, value: &str, seconds: u64) -> String {
        let secure = if way == Way::Public { "; Secure" } else { "" };
        format!("{}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}", self.name(way))
    }
    /// Ends a session: what the browser is told.
    pub fn end(&self, caller: &Caller) -> String {
        if let Some(key) = caller.key {
            self.sessions().remove(&key);
        }
        self.cookie(caller.way, "", 0)
    }
    /// Ends all sessions of a person, but for one.
    pub fn end_all(&self, person: &str, but: Option<&Caller>) {
        let kept = but.and_then(|caller| caller.key);
        self.sessions().retain(|key, s| s.person != person || Some(*key) == kept);
    }
    /// Ends all sessions of a person with another role than this.
    pub fn end_other_roles(&self, person: &str, role: Role) {
        self.sessions().retain(|_, s| s.person != person || s.role == role);
    }
    /// Whether whoever asked is still who it was then: its session ends when it is removed, or its role or password is another. Whoever calls this to change
    /// something holds [`Node::changing`](crate::node::Node), under which that happens.
    ///
    /// # Errors
    /// It is not.
    pub fn still(&self, caller: &Caller) -> Result<(), NodeError> {
        match caller.key.is_none_or(|key| self.sessions().contains_key(&key)) {
            true => Ok(()),
            false => Err(NodeError::Unknown("this session has ended meanwhile; sign in again")),
        }
    }
    /// Seconds that are left of a session.
    pub fn left(&self, caller: &Caller) -> Option<u64> {
        let ends = self.sessions().get(&caller.key?)?.ends;
        Some(ends.saturating_duration_since(Instant::now()).as_secs())
    }

    fn caller(&self, headers: &HeaderMap, way: Way) -> Result<Caller, NodeError> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        if let Some(shown) = text("authorization").and_then(|v| v.strip_prefix("Bearer ")) {
            // It may do everything in anybody's name: whoever has it without this machine has it wrongly.
            if way == Way::Public {
                return Err(NodeError::Unknown("tools ask at the admin address, on the node's machine"));
            }
            // Digests are compared, and in constant time.
            if blake3::hash(shown.as_bytes()) != self.token {
                return Err(NodeError::Unknown("this is not the token of the node's directory"));
            }
            return Ok(Caller { person: None, role: Role::Admin, provider: false, key: None, way });
        }
        let mark = format!("{}=", self.name(way));
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
        let shown = cookies.filter_map(|cookie| cookie.trim().strip_prefix(mark.as_str())).next();
        let unknown =
            NodeError::Unknown("sign in, or show the token of the node's directory: Authorization: Bearer ...");
        let Some(key) = shown.map(|shown| *blake3::hash(shown.as_bytes()).as_bytes()) else { return Err(unknown) };
        let mut sessions = self.sessions();
        let Some(session) = sessions.get_mut(&key).filter(|session| session.way == way) else { return Err(unknown) };
        // Browsers show a cookie to every port of a host: without what only this node's page has it is worth nothing, also for reading.
        if text(CSRF).is_none_or(|csrf| blake3::hash(csrf.as_bytes()) != blake3::hash(session.csrf.as_bytes())) {
            return Err(NodeError::Forbidden(
                "the request is not from a page of this node that signed in; sign in again".into(),
            ));
        }
        if text(POLL).is_none() {
            session.idle = Instant::now() + IDLE;
        }
        Ok(Caller {
            person: Some(session.person.clone()),
            role: session.role,
            provider: session.provider,
            key: Some(key),
            way,
        })
    }

    fn known(&self, headers: &HeaderMap, way: Way) -> Result<Caller, NodeError> {
        match self.caller(headers, way) {
            Ok(caller) => {
                let limits = if caller.person.is_some() { &self.requests } else { &self.tools };
                limits.take(&caller.bucket())?;
                Ok(caller)
            }
            Err(error) => {
                self.strangers.take("")?;
                Err(error)
            }
        }
    }
}

/// Lets in who is known.
pub(super) async fn authenticate(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let way = request.extensions().get().copied().unwrap_or(Way::Here);
    match access.known(request.headers(), way) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// Lets on who has a role, or a higher one.
pub(super) async fn permit(State(role): State<Role>, request: Request, next: Next) -> Response {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.role >= role => next.run(request).await,
        Some(caller) => {
            let problem = format!("this takes the role {}, and yours is {}", role.name(), caller.role.name());
            NodeError::Forbidden(problem).into_response()
        }
        None => NodeError::Unknown("sign in").into_response(),
    }
}

/// Whether a `host:port` names this machine by its loopback.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether a proxy says that it passes a request on. That none does says nothing.
fn is_passed_on(headers: &HeaderMap) -> bool {
    let says = |name: &str| name == "forwarded" || name == "via" || name.starts_with("x-forwarded-");
    headers.keys().any(|name| says(name.as_str()))
}

impl Access {
    /// Under which name a request comes, if its browser was not sent by another site: names that were made to point here, changes from foreign pages, and
    /// whatever else foreign pages have a browser ask for, but that a person follows a link to the page, or comes back from the identity provider.
    fn way(&self, request: &Request) -> Result<Way, NodeError> {
        let text = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap_or_default());
        let host = text("host").or_else(|| request.uri().authority().map(|a| a.as_str())).unwrap_or_default();
        let public = self.origin.as_deref().filter(|origin| origin.strip_prefix("https://") == Some(host));
        let (way, own) = match public {
            Some(origin) => (Way::Public, origin.to_owned()),
            None if is_loopback(host) && self.origin.is_some() && is_passed_on(request.headers()) => {
                let problem = "a proxy passes this on under a name of this machine: have it say the name in `origin` of node.toml as `Host`, whatever it was asked for";
                return Err(NodeError::Forbidden(problem.into()));
            }
            None if is_loopback(host) => (Way::Here, format!("http://{host}")),
            None => {
                let problem = "this address is for 127.0.0.1 and localhost, and for `origin` of node.toml; from another machine, forward a port: ssh -L 7700:127.0.0.1:7700 HOST";
                return Err(NodeError::Forbidden(problem.into()));
            }
        };
        let safe = request.method().is_safe();
        let foreign = || Err(NodeError::Forbidden("the request is from a page of another site".into()));
        if !safe && text("origin").is_some_and(|origin| origin != own) {
            return foreign();
        }
        // Pages of other ports of this machine are of the same site, and as foreign.
        let asked = matches!(text("sec-fetch-site"), None | Some("same-origin" | "none"));
        let visits = safe && text("sec-fetch-mode") == Some("navigate") && !request.uri().path().starts_with("/api/");
        if asked || visits { Ok(way) } else { foreign() }
    }
}

/// Turns away requests that other sites had a browser send.
pub(super) async fn own_pages(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    match access.way(&request) {
        Ok(way) => {
            request.extensions_mut().insert(way);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_few_names() {
        for host in ["127.0.0.1:7700", "127.0.0.9", "localhost:1", "LOCALHOST", "[::1]:7700", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "example.org", "127.0.0.1.example.org:7700", "10.0.0.1:7700", "localhost.example.org", "0.0.0.0:7700"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn sessions_end() {
        let access = Access::new("token", 7700, "");
        let begin = |name, role| access.begin(name, role, false, Way::Here).expect("a session");
        let (cookie, csrf) = begin("ann", Role::Viewer);
        assert!(cookie.starts_with("privity_session_7700=") && cookie.contains("HttpOnly; SameSite=Strict"));
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.split(';').next().expect("a pair").parse().expect("a header"));
        assert!(matches!(access.caller(&headers, Way::Here), Err(NodeError::Forbidden(_))), "no CSRF token");
        headers.insert(CSRF, csrf.parse().expect("a header"));
        let caller = access.caller(&headers, Way::Here).expect("a person");
        assert_eq!((caller.person("bob").as_str(), caller.role), ("ann", Role::Viewer));
        for over in [|s: &mut Session| s.idle = Instant::now(), |s: &mut Session| s.ends = Instant::now()] {
            let (cookie, _) = begin("eve", Role::Admin);
            let key = *blake3::hash(cookie.split(['=', ';']).nth(1).expect("a value").as_bytes()).as_bytes();
            over(access.sessions().get_mut(&key).expect("it began"));
            assert!(!access.sessions().contains_key(&key));
        }
        access.end_all("ann", None);
        assert!(matches!(access.caller(&headers, Way::Here), Err(NodeError::Unknown(_))));
    }

    #[test]
    fn a_person_has_few_sessions_and_the_newest_stay() {
        let access = Access::new("token", 7700, "");
        let begin = |name: &str| access.begin(name, Role::Viewer, false, Way::Here).expect("a session");
        let goes_on = |(cookie, csrf): &(String, String)| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.split(';').next().expect("a pair").parse().expect("a header"));
            headers.insert(CSRF, csrf.parse().expect("a header"));
            access.caller(&headers, Way::Here).ok()
        };
        let bob = begin("bob");
        let of_ann: Vec<_> = (0..MOST + 5).map(|_| begin("ann")).collect();
        assert!(goes_on(&bob).is_some(), "another person's stay");
        let standing: Vec<bool> = of_ann.iter().map(|session| goes_on(session).is_some()).collect();
        let (over, newest) = standing.split_at(of_ann.len() - MOST_OF_ONE);
        assert!(over.iter().all(|goes_on| !goes_on) && newest.iter().all(|goes_on| *goes_on));
        // Whoever asks while its session ends is not who it was.
        let caller = goes_on(&bob).expect("bob");
        assert!(access.still(&caller).is_ok());
        access.end_all("bob", None);
        assert!(matches!(access.still(&caller), Err(NodeError::Unknown(_))));
    }

    #[test]
    fn a_session_is_of_the_name_under_which_it_began() {
        let access = Access::new("token", 7700, "https://privity.bank-a.example");
        let (cookie, csrf) = access.begin("ann", Role::Viewer, false, Way::Public).expect("a session");
        assert!(cookie.starts_with("__Host-privity_session=") && cookie.ends_with("; Secure"), "{cookie}");
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.split(';').next().expect("a pair").parse().expect("a header"));
        headers.insert(CSRF, csrf.parse().expect("a header"));
        assert!(access.caller(&headers, Way::Here).is_err());
        // Nor does its value count in the cookie of the other name.
        let value = cookie.split(['=', ';']).nth(1).expect("a value");
        let mut other = headers.clone();
        other.insert(header::COOKIE, format!("privity_session_7700={value}").parse().expect("a header"));
        assert!(matches!(access.caller(&other, Way::Here), Err(NodeError::Unknown(_))));
        let caller = access.caller(&headers, Way::Public).expect("a person");
        let gone = access.end(&caller);
        assert!(gone.starts_with("__Host-privity_session=;") && gone.contains("Max-Age=0"), "{gone}");
        let token = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer token".parse().expect("a header"))]);
        assert!(access.caller(&token, Way::Here).is_ok() && access.caller(&token, Way::Public).is_err());
    }

    #[test]
    fn browsers_that_others_sent_are_turned_away() {
        let access = Access::new("token", 7700, "https://privity.bank-a.example");
        let way = |method: &str, path: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            access.way(&request.body(axum::body::Body::empty()).expect("a request")).ok()
        };
        let (here, public) = (("host", "127.0.0.1:7700"), ("host", "privity.bank-a.example"));
        let (own, its) = (("origin", "http://127.0.0.1:7700"), ("origin", "https://privity.bank-a.example"));
        for (host, origin, expected) in [
            (here, own, Some(Way::Here)),
            (public, its, Some(Way::Public)),
            (here, its, None),
            (public, own, None),
            (public, ("origin", "http://privity.bank-a.example"), None),
            (("host", "bank-a.example"), ("origin", "https://bank-a.example"), None),
            (("host", "privity.bank-a.example:8443"), its, None),
            (("host", "privity.bank-a.example.evil.example"), its, None),
        ] {
            assert_eq!(way("POST", "/api/v1/session", &[host, origin]), expected, "{host:?} {origin:?}");
        }
        // A proxy that passes a name of this machine on has nobody be taken for one at this machine.
        let without = Access::new("token", 7700, "");
        for said in ["forwarded", "via", "x-forwarded-for", "X-Forwarded-Host", "x-forwarded-proto"] {
            assert_eq!(way("GET", "/", &[here, (said, "x")]), None, "{said}");
            assert_eq!(way("GET", "/", &[public, (said, "x")]), Some(Way::Public), "{said}");
            let request = Request::builder().uri("/").header(here.0, here.1).header(said, "x");
            let request = request.body(axum::body::Body::empty()).expect("a request");
            assert_eq!(without.way(&request).ok(), Some(Way::Here), "without a public name: {said}");
        }
        let site = |site| ("sec-fetch-site", site);
        let navigates = ("sec-fetch-mode", "navigate");
        for path in ["/api/v1/session/provider", "/", "/oidc", "/assets/app.js"] {
            for foreign in ["cross-site", "same-site", "nonsense"] {
                assert_eq!(way("GET", path, &[here, site(foreign)]), None, "{path}");
                let follows = way("GET", path, &[here, site(foreign), navigates]);
                assert_eq!(follows.is_some(), !path.starts_with("/api/"), "{path}");
                assert_eq!(way("POST", path, &[here, site(foreign), navigates]), None, "{path}");
            }
            for own in ["same-origin", "none"] {
                assert_eq!(way("GET", path, &[public, site(own)]), Some(Way::Public), "{path}");
            }
        }
    }
}
