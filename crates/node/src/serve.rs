//! What other organisations' nodes may ask. A connection is that of a root; what the root may do is decided for each request.

use crate::message::{Answer, End, Joining, Knock, Reveal, Start, words};
use crate::node::Node;
use crate::peer::Shown;
use crate::{NodeError, revoked};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use privity_api::{Approval, Attempt, MAX_TEXT, Manifest, Project, Statement, Time};
use privity_net::identity::Revocations;
use privity_net::relay::Request;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Fingerprint of the root that a connection showed, since when its certificate is valid, and its seat, which lasts as long as anything that was asked through it.
#[derive(Clone)]
struct Caller(String, Time, Arc<Seat>);

/// Connections of other nodes at one time, those that are in their handshake, and those of one root.
const CONNECTIONS: usize = 256;
const HANDSHAKES: usize = 64;
const OF_ONE: usize = 32;
/// Connections besides these that show a newer certificate than all but as many of that root: whoever stole an older one takes no place that the owner needs to say so.
const OF_NEWEST: usize = 4;
const MOST_OF_ONE: usize = OF_ONE + 4 * OF_NEWEST;
/// Time for a handshake, and for a request on a connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(30);

impl NodeError {
    fn http(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// In all its words, for people and tools of this organisation.
impl IntoResponse for NodeError {
    fn into_response(self) -> Response {
        (self.http(), self.to_string()).into_response()
    }
}

fn router(node: Arc<Node>) -> Router {
    Router::new().route("/peer/v1/{what}", post(ask)).layer(DefaultBodyLimit::max(MAX_TEXT)).with_state(node)
}

/// What answers a connection of this root, for the fuzzer.
pub(crate) fn router_of(node: Arc<Node>, root: &str) -> Router {
    let seat = Seat(Arc::default(), root.to_owned(), 0);
    router(node).layer(Extension(Caller(root.to_owned(), Time::MAX, Arc::new(seat))))
}

/// Serves connections until there are no more.
pub(crate) async fn serve(
    node: Arc<Node>,
    shown: Shown,
    revocations: Arc<Revocations>,
    mut connections: mpsc::Receiver<TcpStream>,
) {
    let router = router(node.clone());
    let (places, handshakes) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(HANDSHAKES)));
    let crowd = Arc::new(Crowd::default());
    while let Some(stream) = connections.recv().await {
        if let Some(request) = Request::take(&stream) {
            let node = node.clone();
            tokio::spawn(async move { node.relay.serve(request, stream).await });
            continue;
        }
        // Whoever comes when all places are taken is turned away; it will come again.
        let Ok(handshake) = handshakes.clone().try_acquire_owned() else { continue };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (router, shown, revocations, crowd) = (router.clone(), shown.clone(), revocations.clone(), crowd.clone());
        let node = node.clone();
        tokio::spawn(async move {
            let _place = place;
            if let Err(problem) = connection((stream, handshake), router, shown, &revocations, (&node, &crowd)).await {
                tracing::debug!(problem, "a connection ended");
            }
        });
    }
}

/// Connections by root: since when the certificate of each is valid.
#[derive(Default)]
struct Crowd(Mutex<BTreeMap<String, Vec<Time>>>);

/// A connection's place among those of its root.
struct Seat(Arc<Crowd>, String, Time);

impl Crowd {
    fn seat(crowd: &Arc<Crowd>, root: &str, since: Time) -> Option<Seat> {
        let mut all = crate::lock(&crowd.0);
        let sitting = all.entry(root.to_owned()).or_default();
        let as_new = sitting.iter().filter(|other| **other >= since).count();
        let free = sitting.len() < OF_ONE || (as_new < OF_NEWEST && sitting.len() < MOST_OF_ONE);
        free.then(|| {
            sitting.push(since);
            Seat(crowd.clone(), root.to_owned(), since)
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = crate::lock(&self.0.0);
        let Some(sitting) = all.get_mut(&self.1) else { return };
        if let Some(at) = sitting.iter().position(|since| *since == self.2) {
            sitting.swap_remove(at);
        }
        if sitting.is_empty() {
            all.remove(&self.1);
        }
    }
}

async fn connection(
    (stream, handshake): (TcpStream, OwnedSemaphorePermit),
    router: Router,
    shown: Shown,
    revocations: &Arc<Revocations>,
    (node, crowd): (&Node, &Arc<Crowd>),
) -> Result<(), String> {
    let said = |e: &dyn std::fmt::Display| e.to_string();
    stream.set_nonblocking(true).map_err(|e| said(&e))?;
    let stream = tokio::net::TcpStream::from_std(stream).map_err(|e| said(&e))?;
    let config = privity_net::control::server(&shown.get(), revocations).map_err(|e| said(&e))?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let tls =
        tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await.map_err(|e| said(&e))?.map_err(|e| said(&e))?;
    let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let root = privity_net::control::root(chain).ok_or("no root")?;
    let since = crate::revoked::valid_since(chain).ok_or("no certificate")?;
    drop(handshake);
    // Roots that are no member's share what one root may have: they come with invitations, or to disturb.
    let known = node.caller(&root).await.is_ok();
    let seat = if known { Crowd::seat(crowd, &root, since) } else { Crowd::seat(crowd, "", 0) };
    let seat = seat.ok_or("too many connections of one root")?;
    let service =
        hyper_util::service::TowerToHyperService::new(router.layer(Extension(Caller(root, since, Arc::new(seat)))));
    let mut http = hyper::server::conn::http1::Builder::new();
    // Strangers make a handshake for each request.
    http.keep_alive(known);
    let served = http.serve_connection(hyper_util::rt::TokioIo::new(tls), service);
    tokio::time::timeout(REQUEST, served).await.map_err(|e| said(&e))?.map_err(|e| said(&e))
}

pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, NodeError> {
    serde_json::from_slice(body).map_err(|e| NodeError::State(format!("not understood: {e}")))
}

/// Whoever asks may hang up: what it asked for is done to its end all the same. Faults of this node are told to its own people.
async fn ask(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(what): Path<String>,
    body: axum::body::Bytes,
) -> Response {
    let last = what == revoked::PATH;
    let doing = tokio::spawn(async move { answer(node, caller, what, body).await });
    let answer = doing.await.map_err(|e| NodeError::Internal(e.to_string())).and_then(|answer| answer);
    let mut response = answer.unwrap_or_else(|error| {
        let status = error.http();
        if status.is_server_error() {
            tracing::error!(error = %error, "what another organisation asked for was not done");
        }
        (status, error.for_others()).into_response()
    });
    if last {
        // As many as come are looked at: each costs whoever sends it a handshake.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What a simulated node hears from another.
#[cfg(test)]
pub(crate) async fn heard(node: Arc<Node>, root: String, what: String, body: String) -> (u16, String) {
    let seat = Crowd::seat(&Arc::default(), &root, 0).expect("a place");
    let answer = ask(State(node), Extension(Caller(root, Time::MAX, Arc::new(seat))), Path(what), body.into()).await;
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), MAX_TEXT).await.unwrap_or_default();
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn answer(
    node: Arc<Node>,
    Caller(root, since, _seat): Caller,
    what: String,
    body: axum::body::Bytes,
) -> Result<Response, NodeError> {
    let done = || Json(serde_json::json!({})).into_response();
    // Whoever has an invitation is no member yet; and that certificates are void is true whoever shows it.
    if matches!(what.as_str(), "knock" | "reveal") {
        node.asked.take(&root, &what)?;
    }
    match what.as_str() {
        "knock" => return Ok(Json::<Answer>(node.knock(&root, read::<Knock>(&body)?).await?).into_response()),
        "reveal" => return Ok(Json::<Joining>(node.reveal(&root, &read::<Reveal>(&body)?).await?).into_response()),
        revoked::PATH => return node.receive_revocation(&body).await.map(|()| done()),
        _ => {}
    }
    // Revoked while the connection stood.
    if node.revocations.voids(&root, since) {
        return Err(NodeError::Unknown("this certificate was revoked by its organisation"));
    }
    let organisation = node.caller(&root).await?;
    node.asked.take(&root, &what)?;
    match what.as_str() {
        "sink" => {}
        "ping" => return Ok(Json(node.pong(&root).await?).into_response()),
        "project" => node.receive_project(read::<Statement<Project>>(&body)?).await?,
        "manifest" => node.receive(read::<Statement<Manifest>>(&body)?).await?,
        "approval" => node.receive_approval(read::<Statement<Approval>>(&body)?).await?,
        "ready" => return Ok(Json(node.receive_ready(&root, &read::<String>(&body)?).await?).into_response()),
        "release" => node.receive_release(&root, &read::<String>(&body)?).await?,
        "attempt" => return Ok(Json(node.receive_attempt(read::<Statement<Attempt>>(&body)?).await?).into_response()),
        "start" => node.start(&read::<Start>(&body)?).await?,
        "end" => node.receive_end(&root, read::<End>(&body)?).await?,
        "ends" => return Ok(Json(node.receive_ends(&root, &read::<(String, u32)>(&body)?).await?).into_response()),
        "timeline" => {
            return Ok(Json(node.receive_timeline(&root, &read::<String>(&body)?).await?).into_response());
        }
        "members" => {
            return Ok(Json(node.receive_members(&root, &read::<String>(&body)?).await?).into_response());
        }
        "tables" => return Ok(Json(node.receive_tables(&root, &read(&body)?).await?).into_response()),
        "links" => return Ok(Json(node.receive_links(&root, &read::<String>(&body)?).await?).into_response()),
        "relay" => return Ok(Json(node.receive_relay(&root).await?).into_response()),
        "seen" => return Ok(Json(node.seen_of(&organisation, &root)).into_response()),
        "head" => return Ok(Json(node.witness(&organisation, &root, &read(&body)?)?).into_response()),
        other => return Err(NodeError::missing("request", &words(other))),
    }
    Ok(done())
}
