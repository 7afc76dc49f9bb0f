//! Signing in at the organisation's identity provider: OpenID Connect, authorization code with PKCE (ADR 29). The browser brings the code back to the page,
//! which hands it over with a key that it kept for its own address: whoever lures a browser to an answer of the provider's has no such key.

use super::access::{Access, Way};
use super::people::{Role, Session, begun};
use crate::node::{Node, now};
use crate::oidc::{Oidc, may_ask};
use crate::store::Person;
use crate::{NodeError, home};
use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm as Alg, CoreProviderMetadata, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, AuthenticationFlow, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    DiscoveryError, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IdTokenClaims, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, StandardErrorResponse, StandardTokenResponse,
};
use privity_api::Record;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long an answer of the provider may take, and be.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST: usize = 256 << 10;
/// How long a person may take at the provider, and how many may at one time; the newest stay.
const LASTS: Duration = Duration::from_secs(600);
const MOST: usize = 64;
/// How far the provider's clock may be ahead, and how old a token may be, in seconds.
const AHEAD: i64 = 120;
const OLD: i64 = 600;
/// Signatures by keys that only the provider has: none that shared secrets make, and not none at all.
const ALGORITHMS: [Alg; 9] = [
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPkcs1V15Sha512,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
    Alg::RsaSsaPssSha512,
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
];
/// Where a person of the provider has what others have as a hash of their password: no password leads to it.
const BOUND: &str = "oidc:";
/// And whom an admin removed: the provider does not bring it back, and nobody gets its name.
const REMOVED: &str = "oidc-removed:";

/// Claims that the library has no field for.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    #[serde(flatten)]
    all: BTreeMap<String, Value>,
}

impl AdditionalClaims for Claims {}

type Fields = IdTokenFields<Claims, EmptyExtraTokenFields, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, Alg>;
/// The provider as its discovery document describes it.
type Known = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A person who is on the way to the provider and back.
struct Pending {
    known: Known,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    key: blake3::Hash,
    until: Instant,
}

/// The identity provider that the configuration names.
pub(super) struct Provider {
    config: Oidc,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    secret: Option<ClientSecret>,
    http: reqwest::Client,
    /// By the hash of `state`.
    pending: Mutex<BTreeMap<[u8; 32], Pending>>,
}

/// What the provider says of who signed in.
struct Identity {
    bound: String,
    name: String,
    role: Role,
}

fn away(problem: impl ToString) -> NodeError {
    NodeError::Provider(crate::message::words(&problem.to_string()))
}

/// An error and what caused it; never the address, which may hold more than a name.
fn reasons(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn fetch(http: reqwest::Client, near: bool, request: HttpRequest) -> Result<HttpResponse, NodeError> {
    if !may_ask(&request.uri().to_string(), near) {
        return Err(away("its discovery document names an address without TLS"));
    }
    let request = reqwest::Request::try_from(request).map_err(|e| away(reasons(e)))?;
    let mut answer = http.execute(request).await.map_err(|e| away(reasons(e)))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| away(reasons(e)))? {
        if body.len() + chunk.len() > LONGEST {
            return Err(away("its answer is longer than any should be"));
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = HttpResponse::new(body);
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

impl Provider {
    /// As a node's configuration says; asks nobody yet.
    pub fn new(node: &Node) -> Result<Option<Provider>, NodeError> {
        let Some(config) = node.config.oidc.clone() else { return Ok(None) };
        let bad = |problem: String| NodeError::Config { problem: format!("oidc: {problem}") };
        privity_net::control::provide();
        let mut http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        if config.is_near() {
            http = http.no_proxy();
        }
        Ok(Some(Provider {
            issuer: IssuerUrl::new(config.issuer.clone()).map_err(|e| bad(e.to_string()))?,
            redirect: RedirectUrl::new(config.redirect.clone()).map_err(|e| bad(e.to_string()))?,
            secret: config.secret(&node.home)?.map(|secret| ClientSecret::new(secret.reveal().into())),
            http: http.build().map_err(|e| bad(e.to_string()))?,
            pending: Mutex::default(),
            config,
        }))
    }

    /// The provider, as it describes itself now.
    async fn discover(&self) -> Result<Known, NodeError> {
        let near = self.config.is_near();
        let send = |request: HttpRequest| fetch(self.http.clone(), near, request);
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &send).await;
        let found = found.map_err(|e| match e {
            DiscoveryError::Request(error) => error,
            other => away(other),
        })?;
        // A page goes there, and pages go to many places.
        if !may_ask(found.authorization_endpoint().as_str(), near) {
            return Err(away("its discovery document sends people to an address without TLS"));
        }
        let methods = found.token_endpoint_auth_methods_supported().cloned().unwrap_or_default();
        let posts = !methods.is_empty() && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic);
        let id = ClientId::new(self.config.client_id.clone());
        let known = Known::from_provider_metadata(found, id, self.secret.clone());
        let auth = if posts { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(known.set_redirect_uri(self.redirect.clone()).set_auth_type(auth))
    }

    /// Sends a person to the provider.
    async fn begin(&self) -> Result<Begun, NodeError> {
        let known = self.discover().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (flow, scopes) = (AuthenticationFlow::<CoreResponseType>::AuthorizationCode, &self.config.scopes);
        let (url, state, nonce) = known
            .authorize_url(flow, || CsrfToken::new_random_len(32), || Nonce::new_random_len(32))
            .add_scopes(scopes.split_whitespace().map(|scope| Scope::new(scope.into())))
            .set_pkce_challenge(challenge)
            .url();
        let key = home::random_hex(32)?;
        let (until, hashed) = (Instant::now() + LASTS, blake3::hash(key.as_bytes()));
        let mut pending = crate::lock(&self.pending);
        pending.retain(|_, p| Instant::now() < p.until);
        while pending.len() >= MOST {
            let oldest = pending.iter().min_by_key(|(_, p)| p.until).map(|(state, _)| *state);
            oldest.map(|state| pending.remove(&state));
        }
        let entry = Pending { known, nonce, verifier, key: hashed, until };
        pending.insert(*blake3::hash(state.secret().as_bytes()).as_bytes(), entry);
        Ok(Begun { url: url.into(), key })
    }

    /// What was begun with this state by whoever has this key. Once.
    fn take(&self, state: &str, key: &str) -> Option<Pending> {
        let state = *blake3::hash(state.as_bytes()).as_bytes();
        let mut pending = crate::lock(&self.pending);
        pending.retain(|_, p| Instant::now() < p.until);
        let own = pending.get(&state).is_some_and(|p| p.key == blake3::hash(key.as_bytes()));
        if own { pending.remove(&state) } else { None }
    }

    /// Who comes back from the provider.
    async fn complete(&self, begun: Pending, code: String) -> Result<Identity, NodeError> {
        let Pending { known, nonce, verifier, .. } = begun;
        let near = self.config.is_near();
        let send = |request: HttpRequest| fetch(self.http.clone(), near, request);
        let request = known.exchange_code(AuthorizationCode::new(code)).map_err(away)?;
        let told = request.set_pkce_verifier(verifier).request_async(&send).await.map_err(|e| match e {
            RequestTokenError::Request(error) => error,
            // Its other words may repeat what it was sent.
            RequestTokenError::ServerResponse(said) => away(format!("it refuses the code: {}", said.error().as_ref())),
            _ => away("its answer to the code is not understood"),
        })?;
        let token = told.extra_fields().id_token().ok_or_else(|| away("its answer has no ID token"))?;
        let checked =
            known.id_token_verifier().set_allowed_algs(ALGORITHMS).set_issue_time_verifier_fn(|at| match (now() - OLD
                ..=now() + AHEAD)
                .contains(&at.timestamp())
            {
                true => Ok(()),
                false => Err("it was issued long ago, or in the future".into()),
            });
        let claims = token.claims(&checked, &nonce).map_err(|e| away(format!("its ID token does not hold: {e}")))?;
        self.identity(claims)
    }

    fn identity(&self, claims: &IdTokenClaims<Claims, CoreGenderClaim>) -> Result<Identity, NodeError> {
        let refuse = |problem: &str| NodeError::Forbidden(problem.to_owned());
        let subject = claims.subject().as_str();
        let name = match self.config.person_claim.as_str() {
            "sub" => Some(subject),
            "preferred_username" => claims.preferred_username().map(|name| name.as_str()),
            // Anybody can say that an address is theirs.
            "email" => claims.email().filter(|_| claims.email_verified() == Some(true)).map(|email| email.as_str()),
            other => find(&claims.additional_claims().all, other).and_then(Value::as_str),
        };
        let name = name.and_then(person).ok_or_else(|| {
            refuse("the identity provider does not say a name that people can have here: see person_claim in node.toml")
        })?;
        let values = match find(&claims.additional_claims().all, &self.config.roles_claim) {
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(value)) => vec![value.as_str()],
            _ => Vec::new(),
        };
        let role = values.into_iter().filter_map(|value| self.config.roles.get(value)).max();
        let role = *role.ok_or_else(|| {
            refuse("the identity provider gives you no role here: have it give you a group that node.toml maps to one")
        })?;
        let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 person of an identity provider");
        hasher.update(&(self.config.issuer.len() as u64).to_le_bytes());
        hasher.update(self.config.issuer.as_bytes()).update(subject.as_bytes());
        Ok(Identity { bound: format!("{BOUND}{}", hasher.finalize().to_hex()), name, role })
    }
}

/// A claim by its name, or by a path.
fn find<'a>(claims: &'a BTreeMap<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut parts = name.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// What somebody is called here: letters, digits, `-`, `_` and `.`; what else a name has becomes `_`.
fn person(said: &str) -> Option<String> {
    let name: String =
        said.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    (privity_api::is_name(&name) && name.chars().any(|c| c.is_ascii_alphanumeric())).then_some(name)
}

/// Whether a person signs in at the provider, and not with a password.
pub(super) fn is_bound(person: &Person) -> bool {
    person.password.starts_with(BOUND) || is_removed(person)
}

/// Whether a person of the provider's was removed.
pub(super) fn is_removed(person: &Person) -> bool {
    person.password.starts_with(REMOVED)
}

/// What is kept of a person of the provider's who is removed.
pub(super) fn removed(person: Person) -> Person {
    let password = person.password.replacen(BOUND, REMOVED, 1);
    Person { password, changed: now(), ..person }
}

/// The person of the provider's under the name that it has here for good; what changes is in the log before. Whoever calls this holds [`Node::changing`].
async fn welcome(node: &Node, identity: Identity) -> Result<Person, NodeError> {
    let people = node.store.people().await?;
    let gone = identity.bound.replacen(BOUND, REMOVED, 1);
    if people.iter().any(|p| p.password == gone) {
        return Err(NodeError::Forbidden(
            "an admin removed you here; `privity user remove` on the node's machine forgets that".into(),
        ));
    }
    let known = people.iter().find(|p| p.password == identity.bound);
    if let Some(known) = known.filter(|known| known.role == identity.role) {
        return Ok(known.clone());
    }
    let name = known.map_or(identity.name, |known| known.name.clone());
    if known.is_none() && people.iter().any(|p| p.name.eq_ignore_ascii_case(&name)) {
        return Err(NodeError::Forbidden(format!(
            "there is another person `{name}` here, with a password or of the provider's, or one that was removed"
        )));
    }
    let created = known.map_or_else(now, |known| known.created);
    let person = Person { name, role: identity.role, password: identity.bound, created, changed: now() };
    let event = format!("may sign in as {}, by the identity provider", person.role.name());
    node.record(&Record::Person { name: person.name.clone(), event, by: "the identity provider".into() })?;
    node.store.put_person(&person).await?;
    Ok(person)
}

/// Where people may sign in, too.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Offered {
    /// What the provider is called; nothing if there is none.
    name: Option<String>,
}

/// A sign-in at the provider that was begun.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Begun {
    /// Where the browser goes.
    url: String,
    /// What the page keeps, and shows when the browser is back.
    key: String,
}

/// What the browser came back with.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Back {
    code: String,
    state: String,
    key: String,
}

type Place = Option<Arc<Provider>>;

fn there(provider: &Place) -> Result<&Provider, NodeError> {
    provider.as_deref().ok_or_else(|| NodeError::missing("identity provider", "oidc"))
}

/// Whether people may sign in at an identity provider.
#[utoipa::path(get, path = "/api/v1/session/provider", tag = "session", security(()), responses((status = 200, body = Offered)))]
pub(super) async fn offered(State(provider): State<Place>) -> Json<Offered> {
    // It costs nothing, and so takes from no bucket: whoever emptied one would keep everybody from signing in.
    Json(Offered { name: provider.map(|provider| provider.config.name.clone()) })
}

/// Begin to sign in at the identity provider.
#[utoipa::path(post, path = "/api/v1/session/provider", tag = "session", security(()),
    responses((status = 200, body = Begun), (status = 404, description = "there is none"), (status = 429), (status = 502, description = "it does not answer as it should")))]
pub(super) async fn begin(
    State(access): State<Arc<Access>>,
    State(provider): State<Place>,
) -> Result<Json<Begun>, NodeError> {
    let provider = there(&provider)?;
    access.leaving.take("")?;
    Ok(Json(provider.begin().await.inspect_err(failed)?))
}

/// Sign in with what the identity provider sent the browser back with.
#[utoipa::path(put, path = "/api/v1/session/provider", tag = "session", security(()), request_body = Back,
    responses((status = 200, body = Session), (status = 401), (status = 403, description = "no role, or another person's name"), (status = 429), (status = 502)))]
pub(super) async fn complete(
    State(access): State<Arc<Access>>,
    State(node): State<Arc<Node>>,
    State(provider): State<Place>,
    Extension(way): Extension<Way>,
    Json(back): Json<Back>,
) -> Result<Response, NodeError> {
    let provider = there(&provider)?;
    // Whoever brings back nothing that was begun here is a stranger, and keeps nobody else from coming back.
    let Some(own) = provider.take(&back.state, &back.key) else {
        access.strangers.take("")?;
        let error = NodeError::Unknown("this sign-in was not begun here, is over, or was used; begin again");
        failed(&error);
        return Err(error);
    };
    access.returning.take("")?;
    let identity = provider.complete(own, back.code).await.inspect_err(failed)?;
    let role = identity.role;
    // Until there is a session, nobody is removed or changed.
    let _alone = node.changing.lock().await;
    let person = welcome(&node, identity).await.inspect_err(failed)?;
    // Sessions with another role end.
    access.end_other_roles(&person.name, role);
    begun((&access, way), &node, person, true)
}

fn failed(error: &NodeError) {
    tracing::warn!(error = %error, "a sign-in at the identity provider failed");
}
