//! Who asks, and what they may do: tools show the node's token, people a session that they signed in for.

use super::limits::Limits;
use super::people::Role;
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
/// Sessions of all people together.
const MOST: usize = 1000;
/// The header in which a page shows what it was told when its person signed in. It keeps it where pages of other sites and ports cannot read it.
pub(super) const CSRF: &str = "x-privity-csrf";
/// The header by which a page says that it asks by itself.
const POLL: &str = "x-privity-poll";

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
}

impl Caller {
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
    sessions: Mutex<BTreeMap<[u8; 32], Session>>,
    requests: Limits,
    tools: Limits,
    pub strangers: Limits,
    /// Examinations, which cost the links something.
    pub examinations: Limits,
    /// Attempts to sign in, by name.
    pub names: Limits,
    /// The same, of all names: each takes memory and time.
    pub logins: Limits,
    /// Ways to the identity provider, each of which has the node ask it.
    pub leaving: Limits,
}

impl Access {
    /// With the token of a node's directory, at a port.
    pub fn new(token: &str, port: u16) -> Access {
        Access {
            token: blake3::hash(token.as_bytes()),
            cookie: format!("privity_session_{port}"),
            sessions: Mutex::default(),
            requests: Limits::new(200, 20.0),
            tools: Limits::new(2000, 200.0),
            strangers: Limits::new(100, 5.0),
            examinations: Limits::new(3, 0.2),
            names: Limits::new(5, 1.0 / 60.0),
            logins: Limits::new(30, 1.0),
            leaving: Limits::new(30, 1.0),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Session>> {
        let mut sessions = crate::lock(&self.sessions);
        let now = Instant::now();
        sessions.retain(|_, s| now < s.ends && now < s.idle);
        sessions
    }

    /// A session for a person who has just shown its password, or whom the identity provider knows: what the browser is told to keep, and what the page is told.
    pub fn begin(&self, person: &str, role: Role, provider: bool) -> Result<(String, String), NodeError> {
        let (cookie, csrf) = (home::random_hex(32)?, home::random_hex(32)?);
        let now = Instant::now();
        let (person, told, ends, idle) = (person.to_owned(), csrf.clone(), now + LASTS, now + IDLE);
        let session = Session { person, role, provider, csrf: told, ends, idle };
        let mut sessions = self.sessions();
        if sessions.len() >= MOST {
            return Err(NodeError::TooMany { seconds: 60 });
        }
        sessions.insert(*blake3::hash(cookie.as_bytes()).as_bytes(), session);
        let (name, seconds) = (&self.cookie, LASTS.as_secs());
        Ok((format!("{name}={cookie}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}"), csrf))
    }
    /// Ends a session: what the browser is told.
    pub fn end(&self, caller: &Caller) -> String {
        if let Some(key) = caller.key {
            self.sessions().remove(&key);
        }
        format!("{}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0", self.cookie)
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
    /// Seconds that are left of a session.
    pub fn left(&self, caller: &Caller) -> Option<u64> {
        let ends = self.sessions().get(&caller.key?)?.ends;
        Some(ends.saturating_duration_since(Instant::now()).as_secs())
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, NodeError> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        if let Some(shown) = text("authorization").and_then(|v| v.strip_prefix("Bearer ")) {
            // Digests are compared, and in constant time.
            if blake3::hash(shown.as_bytes()) != self.token {
                return Err(NodeError::Unknown("this is not the token of the node's directory"));
            }
            return Ok(Caller { person: None, role: Role::Admin, provider: false, key: None });
        }
        let mark = format!("{}=", self.cookie);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
        let shown = cookies.filter_map(|cookie| cookie.trim().strip_prefix(mark.as_str())).next();
        let unknown =
            NodeError::Unknown("sign in, or show the token of the node's directory: Authorization: Bearer ...");
        let Some(key) = shown.map(|shown| *blake3::hash(shown.as_bytes()).as_bytes()) else { return Err(unknown) };
        let mut sessions = self.sessions();
        let Some(session) = sessions.get_mut(&key) else { return Err(unknown) };
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
        })
    }

    fn known(&self, headers: &HeaderMap) -> Result<Caller, NodeError> {
        match self.caller(headers) {
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
    match access.known(request.headers()) {
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

/// Whether a request is from this machine's own pages and tools.
fn from_here(request: &Request) -> Result<(), NodeError> {
    let text = |name: header::HeaderName| request.headers().get(name).map(|v| v.to_str().unwrap_or_default());
    let host = text(header::HOST).or_else(|| request.uri().authority().map(|a| a.as_str())).unwrap_or_default();
    if !is_loopback(host) {
        let problem = "this address is for 127.0.0.1 and localhost; from another machine, forward a port: ssh -L 7700:127.0.0.1:7700 HOST";
        return Err(NodeError::Forbidden(problem.into()));
    }
    let foreign = text(header::ORIGIN).is_some_and(|origin| origin.strip_prefix("http://") != Some(host));
    match foreign && !request.method().is_safe() {
        true => Err(NodeError::Forbidden("the request is from a page of another site".into())),
        false => Ok(()),
    }
}

/// Turns away requests that other sites had a browser send: names that were made to point here, and changes from foreign pages.
pub(super) async fn own_pages(request: Request, next: Next) -> Response {
    match from_here(&request) {
        Ok(()) => next.run(request).await,
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
        let access = Access::new("token", 7700);
        let (cookie, csrf) = access.begin("ann", Role::Viewer, false).expect("a session");
        assert!(cookie.starts_with("privity_session_7700=") && cookie.contains("HttpOnly; SameSite=Strict"));
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.split(';').next().expect("a pair").parse().expect("a header"));
        assert!(matches!(access.caller(&headers), Err(NodeError::Forbidden(_))), "no CSRF token");
        headers.insert(CSRF, csrf.parse().expect("a header"));
        let caller = access.caller(&headers).expect("a person");
        assert_eq!((caller.person("bob").as_str(), caller.role), ("ann", Role::Viewer));
        for over in [|s: &mut Session| s.idle = Instant::now(), |s: &mut Session| s.ends = Instant::now()] {
            let (cookie, _) = access.begin("eve", Role::Admin, false).expect("a session");
            let key = *blake3::hash(cookie.split(['=', ';']).nth(1).expect("a value").as_bytes()).as_bytes();
            over(access.sessions().get_mut(&key).expect("it began"));
            assert!(!access.sessions().contains_key(&key));
        }
        access.end_all("ann", None);
        assert!(matches!(access.caller(&headers), Err(NodeError::Unknown(_))));
    }
}
