//! What other organisations' nodes may ask. A connection is that of a root; what the root may do is decided for each request.

use crate::message::{Answer, End, Joining, Knock, Reveal, Start};
use crate::node::Node;
use crate::peer::Shown;
use crate::NodeError;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use privity_api::{Approval, Attempt, MAX_TEXT, Manifest, Project, Revocation, Statement};
use privity_net::identity::Revocations;
use serde::de::DeserializeOwned;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Fingerprint of the root that a connection showed.
#[derive(Clone)]
struct Caller(String);

/// Connections of other nodes at one time.
const CONNECTIONS: usize = 256;
/// Time for a handshake, and for a request on a connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(30);

impl IntoResponse for NodeError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, self.to_string()).into_response()
    }
}

/// Serves connections until there are no more.
pub(crate) async fn serve(
    node: Arc<Node>,
    shown: Shown,
    revocations: Arc<Revocations>,
    mut connections: mpsc::Receiver<TcpStream>,
) {
    let router = Router::new()
        .route("/peer/v1/{what}", post(ask))
        .layer(DefaultBodyLimit::max(MAX_TEXT))
        .with_state(node);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Some(stream) = connections.recv().await {
        // Whoever comes when all places are taken is turned away; it will come again.
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (router, shown, revocations) = (router.clone(), shown.clone(), revocations.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Err(problem) = connection(stream, router, shown, &revocations).await {
                tracing::debug!(problem, "a connection ended");
            }
        });
    }
}

async fn connection(stream: TcpStream, router: Router, shown: Shown, revocations: &Arc<Revocations>) -> Result<(), String> {
    let said = |e: &dyn std::fmt::Display| e.to_string();
    stream.set_nonblocking(true).map_err(|e| said(&e))?;
    let stream = tokio::net::TcpStream::from_std(stream).map_err(|e| said(&e))?;
    let config = privity_net::control::server(&shown.get(), revocations).map_err(|e| said(&e))?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let tls = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await.map_err(|e| said(&e))?.map_err(|e| said(&e))?;
    let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let root = privity_net::control::root(chain).ok_or("no root")?;
    let service = hyper_util::service::TowerToHyperService::new(router.layer(Extension(Caller(root))));
    let http = hyper::server::conn::http1::Builder::new();
    let served = http.serve_connection(hyper_util::rt::TokioIo::new(tls), service);
    tokio::time::timeout(REQUEST, served).await.map_err(|e| said(&e))?.map_err(|e| said(&e))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, NodeError> {
    serde_json::from_slice(body).map_err(|e| NodeError::State(format!("not understood: {e}")))
}

async fn ask(
    State(node): State<Arc<Node>>,
    Extension(Caller(root)): Extension<Caller>,
    Path(what): Path<String>,
    body: axum::body::Bytes,
) -> Result<Response, NodeError> {
    let done = || Json(serde_json::json!({})).into_response();
    // Whoever has an invitation is no member yet.
    match what.as_str() {
        "knock" => return Ok(Json::<Answer>(node.knock(&root, read::<Knock>(&body)?).await?).into_response()),
        "reveal" => return Ok(Json::<Joining>(node.reveal(&root, &read::<Reveal>(&body)?).await?).into_response()),
        _ => {}
    }
    let organisation = node.caller(&root).await?;
    match what.as_str() {
        "sink" => {}
        "ping" => return Ok(Json(node.pong()).into_response()),
        "project" => node.receive_project(read::<Statement<Project>>(&body)?).await?,
        "revocation" => node.receive_revocation(&root, &read::<Statement<Revocation>>(&body)?).await?,
        "manifest" => node.receive(read::<Statement<Manifest>>(&body)?).await?,
        "approval" => node.receive_approval(read::<Statement<Approval>>(&body)?).await?,
        "ready" => node.ready(&read::<String>(&body)?).await?,
        "attempt" => return Ok(Json(node.receive_attempt(read::<Statement<Attempt>>(&body)?).await?).into_response()),
        "start" => node.start(&read::<Start>(&body)?).await?,
        "end" => node.receive_end(&organisation, read::<End>(&body)?).await?,
        "seen" => return Ok(Json(node.seen_of(&organisation)).into_response()),
        "head" => return Ok(Json(node.witness(&organisation, &root, &read(&body)?)?).into_response()),
        other => return Err(NodeError::missing("request", other)),
    }
    Ok(done())
}
