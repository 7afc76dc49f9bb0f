//! Connections to other organisations' nodes, direct or through a relay, and one request on each.

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use privity_api::MAX_TEXT;
use privity_net::relay;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long the first of two relays is waited for before the second is tried beside it.
const BESIDE: Duration = Duration::from_secs(1);

/// Where a node is, and how it is reached.
pub(crate) struct Place<'a> {
    /// Its address, as members state it.
    pub address: &'a str,
    /// Its root, if it is known: nobody is found behind a relay without.
    pub root: Option<&'a str>,
    /// Which of two relays is tried first, 0 or 1.
    pub first: usize,
    /// Address of this node for others, and where it listens: it need not be able to reach itself from outside.
    pub own: Option<&'a (String, SocketAddr)>,
}

/// The last of an error's causes, which says most.
pub(crate) fn because(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A TCP connection that is at once handed what is written to it.
pub(crate) async fn tcp(address: &str, own: Option<&(String, SocketAddr)>) -> Result<TcpStream, String> {
    let stream = match own.filter(|(ours, _)| ours == address) {
        Some((_, listens)) => TcpStream::connect(relay::local(*listens)).await,
        None => TcpStream::connect(address).await,
    };
    let stream = stream.map_err(|e| because(&e))?;
    stream.set_nodelay(true).map_err(|e| because(&e))?;
    Ok(stream)
}

/// The name in the first message of TLS: of the host, for what passes connections on by it. Who answers shows in the certificate.
fn name(address: &str) -> ServerName<'static> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::try_from("privity").expect("a name"))
}

/// A connection with whoever shows what `tls` accepts, and through which of two relays. Of two the other is tried when the first fails, or beside it when that
/// takes long.
pub(crate) async fn connect(to: Place<'_>, tls: ClientConfig) -> Result<(TlsStream<TcpStream>, usize), String> {
    let tls = TlsConnector::from(Arc::new(tls));
    let (first, second) = match relay::relays(to.address)[..] {
        [first, second] if to.first == 0 => (first, second),
        [second, first] => (first, second),
        [only, ..] => return through(only, &to, &tls).await.map(|stream| (stream, 0)),
        [] => {
            let stream = tcp(to.address, to.own).await?;
            return tls.connect(name(to.address), stream).await.map(|stream| (stream, 0)).map_err(|e| because(&e));
        }
    };
    let (as_first, as_second) = (usize::from(to.first != 0), usize::from(to.first == 0));
    let both = |one: String, other: String| format!("through {first}: {one}; through {second}: {other}");
    let (one, other) = (through(first, &to, &tls), through(second, &to, &tls));
    tokio::pin!(one, other);
    match tokio::time::timeout(BESIDE, &mut one).await {
        Ok(Ok(stream)) => return Ok((stream, as_first)),
        Ok(Err(why)) => return other.await.map(|stream| (stream, as_second)).map_err(|e| both(why, e)),
        Err(_) => {}
    }
    tokio::select! {
        connected = &mut one => match connected {
            Ok(stream) => Ok((stream, as_first)),
            Err(why) => other.await.map(|stream| (stream, as_second)).map_err(|e| both(why, e)),
        },
        connected = &mut other => match connected {
            Ok(stream) => Ok((stream, as_second)),
            Err(why) => one.await.map(|stream| (stream, as_first)).map_err(|e| both(e, why)),
        },
    }
}

/// As [`connect`], through this relay.
async fn through(relay: &str, to: &Place<'_>, tls: &TlsConnector) -> Result<TlsStream<TcpStream>, String> {
    let line = to.root.and_then(|root| relay::Request::To(root.to_owned()).line());
    let line = line.ok_or("nobody is reached through a relay whose root is not known")?;
    let mut stream = tcp(relay, to.own).await?;
    stream.write_all(line.as_bytes()).await.map_err(|e| because(&e))?;
    tls.connect(name(to.address), stream).await.map_err(|e| match e.get_ref() {
        Some(inner) if inner.is::<rustls::Error>() => because(&e),
        // It hung up: whatever else is wrong comes as an alert, or from the certificate.
        _ => "its relay answers and does not reach it, or carries nothing for it".into(),
    })
}

/// Posts JSON, and has what came back: its status, and no more of a text than a request may have.
pub(crate) async fn post(
    stream: TlsStream<TcpStream>,
    path: &str,
    body: String,
) -> Result<(StatusCode, String), String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| because(&e))?;
    let request = Request::post(path)
        .header(header::HOST, HeaderValue::from_static("node.privity"))
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(Body::from(body))
        .map_err(|e| because(&e))?;
    let answered = async {
        let answer = sender.send_request(request).await.map_err(|e| because(&e))?;
        let status = answer.status();
        let body = axum::body::to_bytes(Body::new(answer.into_body()), MAX_TEXT).await;
        let body =
            body.map_err(|e| format!("its answer cannot be read, or has more than {MAX_TEXT} bytes: {}", because(&e)))?;
        Ok((status, String::from_utf8(body.into()).map_err(|_| "its answer is no text")?))
    };
    // The connection is driven here, and ends with the answer.
    tokio::pin!(connection, answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = &mut connection => match ended {
            Ok(()) => answered.await,
            Err(e) => Err(because(&e)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::now;
    use crate::peer::{Peers, Shown};
    use crate::store::Store;
    use privity_keys::Root;
    use privity_net::control;
    use privity_net::identity::Identity;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// What a relay does with a connection for the member.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Does {
        Nothing,
        Handshake,
        Everything,
    }

    fn root(folder: &std::path::Path, name: &str) -> Arc<dyn Root> {
        privity_keys::create("file:root", &folder.join(name), name).expect("a root")
    }

    fn identity(root: &dyn Root, name: &str) -> Identity {
        root.issue(name, now() - 60, now() + 3600).expect("a certificate")
    }

    /// A relay and the member behind it in one; its address.
    async fn relay(member: &Identity, does: Does) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let config = control::server(member, &Arc::default()).expect("TLS");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            let (mut silent, mut held) = (Vec::new(), Vec::new());
            while let Ok((mut stream, _)) = listener.accept().await {
                if does == Does::Nothing {
                    silent.push(stream);
                    continue;
                }
                while stream.read_u8().await.is_ok_and(|byte| byte != b'\n') {}
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                if does == Does::Everything && stream.read(&mut [0; 1024]).await.is_ok() {
                    drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await);
                    drop(stream.flush().await);
                }
                held.push(stream);
            }
        });
        address
    }

    #[tokio::test]
    async fn of_two_relays_one_may_be_silent_and_the_one_that_works_may_be_first() {
        let folder = tempfile::tempdir().expect("a directory");
        let (member, dialer) = (root(folder.path(), "bank-c"), root(folder.path(), "bank-b"));
        let behind = identity(&*member, "bank-c");
        let (silent, works) = (relay(&behind, Does::Nothing).await, relay(&behind, Does::Handshake).await);
        let fingerprint = member.fingerprint();
        for (address, right) in [(format!("relay:{silent},{works}"), 1), (format!("relay:{works},{silent}"), 0)] {
            for first in [0, 1] {
                let tls = control::client(&identity(&*dialer, "bank-b"), Some(&fingerprint), &Arc::default());
                let place = Place { address: &address, root: Some(&fingerprint), first, own: None };
                let (_, through) = connect(place, tls.expect("TLS")).await.expect("a connection");
                assert_eq!(through, right, "{address}, beginning with {first}");
            }
        }
    }

    #[tokio::test]
    async fn a_relay_that_stops_after_the_handshake_is_not_the_first_again() {
        let folder = tempfile::tempdir().expect("a directory");
        let (member, dialer) = (root(folder.path(), "bank-c"), root(folder.path(), "bank-b"));
        let behind = identity(&*member, "bank-c");
        let (stops, works) = (relay(&behind, Does::Handshake).await, relay(&behind, Does::Everything).await);
        let store = Store::open(folder.path()).await.expect("a database");
        let peers = Peers::new(store, Shown::new(identity(&*dialer, "bank-b")), Arc::default());
        let member = privity_api::Member {
            organisation: "bank-c".into(),
            operator: "bank-c".into(),
            root: member.fingerprint(),
            address: format!("relay:{stops},{works}"),
            helper: false,
        };
        let said = peers.send(&member, "ping", "{}".into()).await.expect_err("nothing comes back").to_string();
        assert!(said.contains("no answer within"), "{said}");
        for _ in 0..2 {
            assert_eq!(peers.send(&member, "ping", "{}".into()).await.expect("an answer"), "{}");
        }
    }
}
