//! `[oidc]` in `node.toml`: the identity provider at which people of this organisation may sign in.
//!
//! ```toml
//! [oidc]
//! issuer = "https://login.example/realms/bank-a"   # as its discovery document says it
//! client_id = "privity"
//! client_secret_file = "oidc.secret"               # in the node's directory; or client_secret; neither for a public client
//! name = "Bank A"                                  # on the button; default the issuer's host
//! scopes = "profile"                               # besides openid
//! person_claim = "preferred_username"              # what people are called; default this
//! roles_claim = "groups"                           # text or a list; `a.b` is b within a
//! redirect = "http://127.0.0.1:7700/oidc"          # default under `origin`, or at the admin address; another loopback port if that is forwarded
//! [oidc.roles]
//! privity-admins = "admin"                         # value of the claim = viewer, approver or admin; whoever has none does not sign in
//! ```
//!
//! `PRIVITY_OIDC_ISSUER` and so on override each key; `PRIVITY_OIDC_ROLES` is `value=role,value=role`.

use crate::NodeError;
use crate::admin::{Role, is_loopback};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A secret that is shown nowhere and written nowhere.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Who it is: an `https` URL, or one of this machine.
    pub issuer: String,
    /// What it calls this node.
    pub client_id: String,
    /// What this node shows it.
    #[serde(default, skip_serializing)]
    pub client_secret: Secret,
    /// The same, in a file of the node's directory.
    #[serde(default)]
    pub client_secret_file: String,
    /// What the page calls it. Default the issuer's host.
    #[serde(default)]
    pub name: String,
    /// Scopes that are asked for besides `openid`.
    #[serde(default = "default_scopes")]
    pub scopes: String,
    /// The claim that names a person.
    #[serde(default = "default_person")]
    pub person_claim: String,
    /// The claim whose values are mapped to roles.
    pub roles_claim: String,
    /// Where the provider sends browsers back to. Default under the public origin, or at the admin address if there is none.
    #[serde(default)]
    pub redirect: String,
    /// Roles by value of the claim.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
}

fn default_scopes() -> String {
    "profile".into()
}

fn default_person() -> String {
    "preferred_username".into()
}

const KEYS: [&str; 10] = [
    "issuer",
    "client_id",
    "client_secret",
    "client_secret_file",
    "name",
    "scopes",
    "person_claim",
    "roles_claim",
    "redirect",
    "roles",
];

/// Puts what the environment has of these keys into a configuration.
pub(crate) fn overridden(table: &mut toml::Table, variable: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
    for key in KEYS {
        let name = format!("PRIVITY_OIDC_{}", key.to_uppercase());
        let Some(value) = variable(&name) else { continue };
        let value = match key {
            "roles" => {
                let pairs = value.split(',').map(|pair| pair.rsplit_once('=').ok_or("write value=role,value=role"));
                let pairs: Result<toml::Table, &str> =
                    pairs.map(|p| p.map(|(value, role)| (value.trim().to_owned(), role.trim().into()))).collect();
                toml::Value::Table(pairs.map_err(|why| format!("{name}: {why}"))?)
            }
            _ => toml::Value::String(value),
        };
        let oidc = table.entry("oidc").or_insert_with(|| toml::Table::new().into());
        oidc.as_table_mut().ok_or("oidc is no table")?.insert(key.into(), value);
    }
    Ok(())
}

/// Whether an address may be asked: by TLS, or on this machine for a provider of this machine.
pub(crate) fn may_ask(url: &str, near: bool) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || near && url.scheme() == "http" && url.host_str().is_some_and(is_loopback))
}

impl Oidc {
    /// Fills in what was left out, and looks whether the rest makes sense.
    pub(crate) fn complete(&mut self, admin: &str, origin: &str) -> Result<(), String> {
        let public = (!origin.is_empty()).then(|| format!("{origin}/oidc"));
        if self.redirect.is_empty() {
            self.redirect = public.clone().unwrap_or_else(|| format!("http://{admin}/oidc"));
        }
        if !may_ask(&self.issuer, true) {
            return Err("oidc.issuer: write the issuer's https URL".into());
        }
        let back = reqwest::Url::parse(&self.redirect);
        let here =
            back.is_ok_and(|url| may_ask(&self.redirect, true) && url.scheme() == "http" && url.path() == "/oidc");
        if !here && Some(&self.redirect) != public.as_ref() {
            return Err("oidc.redirect: write http://, a loopback address, its port and /oidc, or `origin` and /oidc, as the page is opened: the dashboard has no other names".into());
        }
        if self.name.is_empty() {
            let issuer = reqwest::Url::parse(&self.issuer);
            self.name = issuer.ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        }
        if self.name.chars().count() > 64 || self.name.chars().any(privity_api::steers) {
            return Err("oidc.name: write at most 64 letters".into());
        }
        for (key, value) in
            [("client_id", &self.client_id), ("person_claim", &self.person_claim), ("roles_claim", &self.roles_claim)]
        {
            if value.is_empty() {
                return Err(format!("oidc.{key} is empty: write what the provider calls it"));
            }
        }
        if !self.client_secret.is_empty() && !self.client_secret_file.is_empty() {
            return Err("oidc: write client_secret or client_secret_file, not both".into());
        }
        if self.roles.is_empty() {
            return Err(
                "oidc.roles is empty, so nobody could sign in: write which values of the claim are which role".into()
            );
        }
        Ok(())
    }

    /// Whether it is on this machine.
    pub(crate) fn is_near(&self) -> bool {
        reqwest::Url::parse(&self.issuer).is_ok_and(|url| url.host_str().is_some_and(is_loopback))
    }

    /// The secret, wherever it stands; none for a public client.
    pub(crate) fn secret(&self, home: &Path) -> Result<Option<Secret>, NodeError> {
        if self.client_secret_file.is_empty() {
            return Ok(Some(self.client_secret.clone()).filter(|secret| !secret.is_empty()));
        }
        let path = home.join(&self.client_secret_file);
        let text = std::fs::read_to_string(&path).map_err(|e| NodeError::file(&path, "reading", e))?;
        match text.trim() {
            "" => Err(NodeError::file(&path, "reading", "it is empty; write the client's secret into it")),
            text => Ok(Some(Secret(text.to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    const LEAST: &str = "organisation = \"bank-a\"\nlisten = \"127.0.0.1:7443\"\n";
    const TABLE: &str = "[oidc]\nissuer = \"https://login.example/a\"\nclient_id = \"privity\"\nclient_secret = \"hush\"\nroles_claim = \"groups\"\n[oidc.roles]\nofficers = \"approver\"\n";

    #[test]
    fn every_key_has_a_variable_and_no_secret_is_shown() {
        let config = Config::parse(&format!("{LEAST}{TABLE}"), |_| None).expect("a configuration");
        let oidc = config.oidc.clone().expect("a provider");
        assert_eq!((oidc.redirect.as_str(), oidc.name.as_str()), ("http://127.0.0.1:7700/oidc", "login.example"));
        assert!(!format!("{config:?}").contains("hush"));
        assert!(!toml::to_string(&config).expect("TOML").contains("hush"));
        let value = |key: &str| {
            Some(match key.strip_prefix("PRIVITY_OIDC_")? {
                "ISSUER" => "https://other.example".into(),
                "REDIRECT" => "http://127.0.0.1:8800/oidc".into(),
                "CLIENT_SECRET" => String::new(),
                "ROLES" => "a=b=viewer, c=admin".into(),
                other => format!("other-{other}"),
            })
        };
        let other =
            Config::parse(&format!("{LEAST}{TABLE}"), value).expect("a configuration").oidc.expect("a provider");
        let table = |oidc: &Oidc| toml::Table::try_from(oidc).expect("TOML");
        let (before, after) = (table(&oidc), table(&other));
        assert_eq!(after.len(), KEYS.len() - 1, "all but the secret");
        assert!(after.iter().all(|(key, value)| before[key] != *value), "{after:?}");
        assert!(other.client_secret.is_empty());
        assert_eq!(other.roles, BTreeMap::from([("a=b".into(), Role::Viewer), ("c".into(), Role::Admin)]));
        let public = format!("{LEAST}origin = \"https://privity.bank-a.example\"\n{TABLE}");
        let public = Config::parse(&public, |_| None).expect("a configuration").oidc.expect("a provider");
        assert_eq!(public.redirect, "https://privity.bank-a.example/oidc");
        // From the environment alone.
        assert!(Config::parse(LEAST, value).expect("a configuration").oidc.is_some());
        assert!(Config::parse(LEAST, |_| None).expect("a configuration").oidc.is_none());
    }

    #[test]
    fn mistakes_are_named_without_secrets() {
        for (from, to, word) in [
            ("https://login.example/a", "http://login.example/a", "issuer"),
            ("client_id = \"privity\"", "client_id = \"\"", "client_id"),
            (
                "client_id = \"privity\"",
                "client_id = \"privity\"\nredirect = \"https://page.example/oidc\"",
                "redirect",
            ),
            (
                "client_id = \"privity\"",
                "client_id = \"privity\"\nredirect = \"http://127.0.0.1:1/elsewhere\"",
                "redirect",
            ),
            ("client_id = \"privity\"", "client_id = \"privity\"\nclient_secret_file = \"f\"", "client_secret_file"),
            ("officers = \"approver\"", "", "roles"),
            ("officers = \"approver\"", "officers = \"emperor\"", "emperor"),
            ("client_id = \"privity\"", "client_id = \"privity\"\ncolor = \"red\"", "color"),
        ] {
            let text = format!("{LEAST}{}", TABLE.replace(from, to));
            let error = Config::parse(&text, |_| None).expect_err(word).to_string();
            assert!(error.contains(word) && !error.contains("hush"), "{error}");
        }
    }
}
