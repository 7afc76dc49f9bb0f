//! People of this organisation: their roles and passwords, signing in and out.

use super::access::{Access, Caller, Way};
use super::provider::{is_bound, is_removed, removed};
use crate::message::words;
use crate::node::{Node, now};
use crate::store::Person;
use crate::{NodeError, home};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::extract::{Path, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use privity_api::{Record, Time};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;
use zeroize::Zeroize;

/// What a person may do. Each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Approves and denies jobs.
    Approver,
    /// Everything else: members, tables, jobs, people.
    Admin,
}

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Approver => "approver",
            Role::Admin => "admin",
        }
    }
    /// The role of this name; what is unknown may least.
    pub fn parse(name: &str) -> Role {
        [Role::Approver, Role::Admin].into_iter().find(|role| role.name() == name).unwrap_or(Role::Viewer)
    }
}

/// A password; what of it was in memory is overwritten when it is dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Password(text)
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Characters of a password.
const LEAST: usize = 12;
const MOST: usize = 256;

/// Passwords that are hashed at one time: each takes 19 MiB.
static HASHING: Semaphore = Semaphore::const_new(2);

/// Compared with where there is no such person, so that the time does not say so.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash(&home::random_hex(16).ok()?).ok());

fn hash(password: &str) -> Result<String, NodeError> {
    let hashed: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|e| NodeError::Keys(format!("hashing a password: {e}")))?;
    Ok(hashed.to_string())
}

fn matches(password: &str, hashed: &str) -> bool {
    PasswordHash::new(hashed)
        .is_ok_and(|hashed| Argon2::default().verify_password(password.as_bytes(), &hashed).is_ok())
}

async fn hashing<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NodeError> {
    let failed = |e: &dyn std::fmt::Display| NodeError::State(format!("hashing a password: {e}"));
    let _place = HASHING.acquire().await.map_err(|e| failed(&e))?;
    tokio::task::spawn_blocking(work).await.map_err(|e| failed(&e))
}

/// The hash of a new password, if it can be one.
async fn fresh(name: &str, password: Password) -> Result<String, NodeError> {
    let bad = |problem: String| Err(NodeError::Person(problem));
    match password.0.chars().count() {
        0..LEAST => return bad(format!("the password has fewer than {LEAST} characters; take several words")),
        n if n > MOST => return bad(format!("the password has more than {MOST} characters")),
        _ if password.0.to_lowercase().contains(&name.to_lowercase()) => {
            return bad("the password has the name in it; take several words".into());
        }
        _ => {}
    }
    hashing(move || hash(&password.0)).await?
}

/// Whether a password is that of a person.
async fn verify(person: Option<&Person>, password: Password) -> Result<bool, NodeError> {
    // Whom the identity provider knows has no password; the time does not say so.
    let known = person.filter(|p| !is_bound(p)).map(|p| p.password.clone());
    hashing(move || {
        let right = known.as_deref().or(NOBODY.as_deref()).is_some_and(|hashed| matches(&password.0, hashed));
        known.is_some() && right
    })
    .await
}

async fn find(node: &Node, name: &str) -> Result<Option<Person>, NodeError> {
    Ok(node.store.people().await?.into_iter().find(|p| p.name == name))
}

/// The person whose password was just shown, as it is by now: hashing takes a while, and whoever was removed or got another password meanwhile is none.
/// Whoever calls this holds [`Node::changing`].
async fn still(node: &Node, shown: Person) -> Result<Option<Person>, NodeError> {
    Ok(find(node, &shown.name).await?.filter(|p| p.password == shown.password))
}

/// A person of this node's own list, which may be changed here.
async fn own(node: &Node, name: &str) -> Result<Person, NodeError> {
    let person = find(node, name).await?.ok_or_else(|| NodeError::missing("person", &words(name)))?;
    match is_bound(&person) {
        false => Ok(person),
        true => Err(NodeError::State(
            "role and password of this person are the identity provider's; have it change them, or remove the person here".into(),
        )),
    }
}

/// Whether a person may approve jobs: where people sign in at an identity provider, only its own may.
pub(crate) fn may_approve(person: &Person, provider: bool) -> bool {
    person.role >= Role::Approver && is_bound(person) == provider && !is_removed(person)
}

/// Who signs in.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    name: String,
    #[schema(value_type = String, format = Password)]
    password: Password,
}

/// A session, as its page knows it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Session {
    /// Who signed in; nobody for a tool.
    person: Option<String>,
    role: Role,
    /// The organisation of the node.
    organisation: String,
    /// What the page shows in `x-privity-csrf` with every request; told once, to whoever signs in.
    csrf: Option<String>,
    /// Seconds until the session ends.
    ends: Option<u64>,
    /// Whether the identity provider says who it is.
    provider: bool,
}

/// Sign in.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = Login, security(()),
    responses((status = 200, body = Session), (status = 401, description = "no such name and password"), (status = 429)))]
pub(super) async fn login(
    State(access): State<Arc<Access>>,
    State(node): State<Arc<Node>>,
    Extension(way): Extension<Way>,
    Json(login): Json<Login>,
) -> Result<Response, NodeError> {
    if login.name.len() > 64 || login.password.0.len() > 4 * MOST {
        return Err(NodeError::Unknown("no such name and password"));
    }
    access.logins.take("")?;
    access.names.take(&login.name)?;
    let person = find(&node, &login.name).await?;
    let right = verify(person.as_ref(), login.password).await?;
    // Until there is a session, nobody is removed or changed.
    let _alone = node.changing.lock().await;
    let person = match person.filter(|_| right) {
        Some(shown) => still(&node, shown).await?,
        None => None,
    };
    let Some(person) = person else {
        // Without the name: it may be a password, in the wrong field.
        tracing::warn!("a sign-in failed");
        return Err(NodeError::Unknown("no such name and password"));
    };
    access.names.forget(&login.name);
    begun((&access, way), &node, person, false)
}

/// A session of a person who is who it says. Whoever calls this holds [`Node::changing`] since it has looked who that is.
pub(super) fn begun(
    (access, way): (&Access, Way),
    node: &Node,
    person: Person,
    provider: bool,
) -> Result<Response, NodeError> {
    let (cookie, csrf) = access.begin(&person.name, person.role, provider, way)?;
    tracing::info!(person = person.name, provider, "signed in");
    let session = Session {
        person: Some(person.name),
        role: person.role,
        organisation: node.organisation().into(),
        csrf: Some(csrf),
        ends: Some(super::access::LASTS.as_secs()),
        provider,
    };
    Ok(([(SET_COOKIE, cookie)], Json(session)).into_response())
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, body = Session)))]
pub(super) async fn session(
    State(access): State<Arc<Access>>,
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
) -> Json<Session> {
    let (person, role, provider) = (caller.person.clone(), caller.role, caller.provider);
    let (organisation, ends) = (node.organisation().into(), access.left(&caller));
    Json(Session { person, role, organisation, csrf: None, ends, provider })
}

/// Sign out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 200)))]
pub(super) async fn logout(State(access): State<Arc<Access>>, Extension(caller): Extension<Caller>) -> Response {
    ([(SET_COOKIE, access.end(&caller))], Json(())).into_response()
}

/// A new password for oneself.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    #[schema(value_type = String, format = Password)]
    old: Password,
    #[schema(value_type = String, format = Password)]
    new: Password,
}

/// Change one's own password. All other sessions of the person end.
#[utoipa::path(put, path = "/api/v1/session/password", tag = "session", request_body = NewPassword,
    responses((status = 200), (status = 403, description = "the old password is another"), (status = 422, description = "the new one is too weak")))]
pub(super) async fn password(
    State(access): State<Arc<Access>>,
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Json(change): Json<NewPassword>,
) -> Result<Json<()>, NodeError> {
    let name = caller.person.clone().ok_or_else(|| NodeError::Forbidden("a tool has no password".into()))?;
    access.names.take(&name)?;
    let person = find(&node, &name).await?;
    let right = verify(person.as_ref(), change.old).await?;
    let another = || NodeError::Forbidden("the old password is another".into());
    let shown = person.filter(|_| right).ok_or_else(another)?;
    access.names.forget(&name);
    let password = fresh(&name, change.new).await?;
    let _alone = node.changing.lock().await;
    let mut person = still(&node, shown).await?.ok_or_else(another)?;
    person.password = password;
    person.changed = now();
    recorded(&node, &caller, &name, "another password".into())?;
    node.store.put_person(&person).await?;
    access.end_all(&name, Some(&caller));
    Ok(Json(()))
}

/// A person in a list.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made known.
    #[schema(value_type = i64)]
    pub created: Time,
    /// When role or password last changed.
    #[schema(value_type = i64)]
    pub changed: Time,
    /// Whether it signs in at the identity provider, which says its role.
    #[serde(default)]
    pub provider: bool,
}

/// A person to make known.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// At least 12 characters.
    #[schema(value_type = String, format = Password)]
    pub password: Password,
}

/// What of a person is to change.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Another role.
    #[serde(default)]
    pub role: Option<Role>,
    /// Another password.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<Password>,
}

/// Who may sign in.
#[utoipa::path(get, path = "/api/v1/people", tag = "people", responses((status = 200, body = Vec<Listed>)))]
pub(super) async fn people(State(node): State<Arc<Node>>) -> Result<Json<Vec<Listed>>, NodeError> {
    let listed = |p: Person| Listed {
        provider: is_bound(&p),
        name: p.name,
        role: p.role,
        created: p.created,
        changed: p.changed,
    };
    Ok(Json(node.store.people().await?.into_iter().filter(|p| !is_removed(p)).map(listed).collect()))
}

/// Let a person sign in.
#[utoipa::path(post, path = "/api/v1/people", tag = "people", request_body = NewPerson,
    responses((status = 200), (status = 409, description = "there is one of this name"), (status = 422, description = "no name, or too weak a password")))]
pub(super) async fn add(
    State(access): State<Arc<Access>>,
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Json(new): Json<NewPerson>,
) -> Result<Json<()>, NodeError> {
    if !privity_api::is_name(&new.name) {
        return Err(NodeError::Person("a name has letters, digits, -, _ and ., at most 64".into()));
    }
    let password = fresh(&new.name, new.password).await?;
    let _alone = node.changing.lock().await;
    access.still(&caller)?;
    if node.store.people().await?.iter().any(|p| p.name.eq_ignore_ascii_case(&new.name)) {
        return Err(NodeError::State(format!("there is a person `{}` already", new.name)));
    }
    let (created, changed) = (now(), now());
    recorded(&node, &caller, &new.name, format!("may sign in as {}", new.role.name()))?;
    node.store.put_person(&Person { name: new.name, role: new.role, password, created, changed }).await?;
    Ok(Json(()))
}

/// Give a person another role or password. Its sessions end.
#[utoipa::path(put, path = "/api/v1/people/{name}", tag = "people", params(("name" = String, Path)), request_body = Change,
    responses((status = 200), (status = 404), (status = 409, description = "of oneself"), (status = 422)))]
pub(super) async fn change(
    State(access): State<Arc<Access>>,
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(change): Json<Change>,
) -> Result<Json<()>, NodeError> {
    another(&caller, &name)?;
    own(&node, &name).await?;
    let password = match change.password {
        Some(password) => Some(fresh(&name, password).await?),
        None => None,
    };
    // What it was before the password was hashed may have changed.
    let _alone = node.changing.lock().await;
    access.still(&caller)?;
    let mut person = own(&node, &name).await?;
    let renewed = password.is_some();
    person.password = password.unwrap_or(person.password);
    let mut events = Vec::new();
    if change.role.is_some_and(|role| role != person.role) || !renewed {
        events.push(format!("role {}", change.role.unwrap_or(person.role).name()));
    }
    if renewed {
        events.push("another password".to_owned());
    }
    person.role = change.role.unwrap_or(person.role);
    person.changed = now();
    recorded(&node, &caller, &name, events.join(", "))?;
    node.store.put_person(&person).await?;
    access.end_all(&name, None);
    access.names.forget(&name);
    Ok(Json(()))
}

/// Let a person sign in no more. Its sessions end.
#[utoipa::path(delete, path = "/api/v1/people/{name}", tag = "people", params(("name" = String, Path)),
    responses((status = 200), (status = 404), (status = 409, description = "of oneself")))]
pub(super) async fn remove(
    State(access): State<Arc<Access>>,
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<()>, NodeError> {
    another(&caller, &name)?;
    let _alone = node.changing.lock().await;
    access.still(&caller)?;
    let person = find(&node, &name).await?.ok_or_else(|| NodeError::missing("person", &words(&name)))?;
    match (is_bound(&person), is_removed(&person)) {
        // Who is signed in could otherwise come again under another name, and count twice.
        (_, true) if caller.person.is_some() => return Err(NodeError::missing("person", &name)),
        (true, false) => {
            recorded(&node, &caller, &name, "may sign in no more".into())?;
            node.store.put_person(&removed(person)).await?;
        }
        (_, gone) => {
            let event = if gone { "is forgotten: its name is free" } else { "may sign in no more" };
            recorded(&node, &caller, &name, event.into())?;
            node.store.remove_person(&name).await?;
        }
    }
    access.end_all(&name, None);
    Ok(Json(()))
}

/// Writes to the audit log who may sign in, before it is so.
fn recorded(node: &Node, caller: &Caller, name: &str, event: String) -> Result<(), NodeError> {
    node.record(&Record::Person { name: name.into(), event, by: caller.person("the node's token") })
}

/// Whoever takes a role from itself cannot give it back.
fn another(caller: &Caller, name: &str) -> Result<(), NodeError> {
    match caller.person.as_deref() == Some(name) {
        true => Err(NodeError::State(
            "that is you: have another admin do it, or `privity user` on the node's machine".into(),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_hashed_with_salt() {
        let password = || Password("correct horse battery".into());
        let (a, b) = (fresh("ann", password()).await.expect("a hash"), fresh("ann", password()).await.expect("a hash"));
        assert!(a.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && a != b, "{a}");
        let person = Person { name: "ann".into(), role: Role::Viewer, password: a, created: 0, changed: 0 };
        assert!(verify(Some(&person), password()).await.expect("an answer"));
        assert!(!verify(Some(&person), Password("correct horse batterz".into())).await.expect("an answer"));
        assert!(!verify(None, password()).await.expect("an answer"));
    }

    #[tokio::test]
    async fn weak_passwords_are_refused() {
        for (name, password) in [("ann", "short"), ("ann", "I am Ann, really"), ("ann", &"x".repeat(MOST + 1))] {
            let refused = fresh(name, Password(password.into())).await;
            assert!(matches!(refused, Err(NodeError::Person(_))), "{password}");
        }
    }

    #[test]
    fn roles_are_ordered() {
        assert!(Role::Viewer < Role::Approver && Role::Approver < Role::Admin);
        for role in [Role::Viewer, Role::Approver, Role::Admin] {
            assert_eq!(Role::parse(role.name()), role);
        }
        assert_eq!(Role::parse("root"), Role::Viewer);
    }
}
