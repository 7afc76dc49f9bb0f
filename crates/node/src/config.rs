//! `node.toml`, and what of it the environment overrides.
//!
//! ```toml
//! organisation = "bank-a"
//! operator = "bank-a"            # who runs the machine; default the organisation
//! listen = "0.0.0.0:7443"        # the one port for other organisations: control and data
//! address = "a.example:7443"     # how they reach it; default `listen`. "relay:b.example:7443": through that member's node, or that of two, with a comma between them; `listen` is "" then
//! relay = false                  # carries connections of members that only dial out
//! admin = "127.0.0.1:7700"       # people and tools of this organisation; never open it to others
//! origin = "https://privity.bank-a.example" # the name under which the organisation's own proxy passes people on to `admin`; default none
//! monitor = "127.0.0.1:9464"     # /health, /ready, /metrics, for operators' tools; default nowhere
//! traces = "http://127.0.0.1:4318" # a collector of OpenTelemetry traces; default none
//! helper = false                 # takes part without data
//! project_running = 2            # those of one project among them that this organisation submits; default as many as may
//! attempt_hours = 48             # no attempt lasts longer
//! max_running = 4                # attempts at one time; submitters take turns
//! lanes = 8                      # those of all attempts at one time; default as many as the machine has cores
//! database = ""                  # postgres://...: what several instances share; default SQLite in the directory
//! keys = "file:root"             # where the root key is: docs/KEYS.md
//! ```
//!
//! The table `[oidc]` is in [`crate::oidc`]. `PRIVITY_LISTEN`, `PRIVITY_ADMIN` and so on override each key.

use crate::NodeError;
use crate::database::Database;
use crate::oidc::Oidc;
use privity_api::is_name;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;

/// Configuration of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose node it is.
    pub organisation: String,
    /// Who runs the machine. Default the organisation.
    #[serde(default)]
    pub operator: String,
    /// Where it listens for other organisations; empty if it only dials out.
    pub listen: String,
    /// How they reach it: `host:port`, or `relay:host:port` of the member's node that carries its connections if it only dials out, with `,host:port` of a second.
    /// Default [`Config::listen`].
    #[serde(default)]
    pub address: String,
    /// Whether it carries connections of members that only dial out.
    #[serde(default)]
    pub relay: bool,
    /// Where people and tools of this organisation find it: a loopback address.
    #[serde(default = "default_admin")]
    pub admin: String,
    /// The origin under which people find the dashboard through the organisation's own proxy, which speaks TLS: `https://`, a name, a port if it is not 443.
    #[serde(default)]
    pub origin: String,
    /// Where operators' tools find health, readiness and measures; empty: nowhere. Whoever reaches it sees names of members.
    #[serde(default)]
    pub monitor: String,
    /// Where spans of jobs go, by OTLP over HTTP; empty: nowhere. Whoever reads them there sees names of jobs and members, and when they compute.
    #[serde(default)]
    pub traces: String,
    /// Whether it takes part without data.
    #[serde(default)]
    pub helper: bool,
    /// Where the root key is, as `privity_keys::Place` reads it. Default the directory `root`.
    #[serde(default = "default_keys")]
    pub keys: String,
    /// Where it keeps what it remembers. Default SQLite in its directory.
    #[serde(default)]
    pub database: Database,
    /// Attempts that may run at one time; who has waited longest is next. Default 4.
    #[serde(default = "default_running")]
    pub max_running: u32,
    /// Lanes of all attempts at one time; 0, the default: as many as the machine has cores. An attempt has at least one.
    #[serde(default)]
    pub lanes: u32,
    /// Attempts of one project that this organisation has run at one time; 0, the default: as many as may.
    #[serde(default)]
    pub project_running: u32,
    /// Hours that an attempt may last. Default 48.
    #[serde(default = "default_attempt")]
    pub attempt_hours: u32,
    /// Hours that node certificates last. Default 24.
    #[serde(default = "default_hours")]
    pub certificate_hours: u32,
    /// The identity provider at which people may sign in to the dashboard; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
}

fn default_admin() -> String {
    "127.0.0.1:7700".into()
}

fn default_keys() -> String {
    "file:root".into()
}

fn default_running() -> u32 {
    4
}

fn default_attempt() -> u32 {
    48
}

fn default_hours() -> u32 {
    24
}

/// Name of the file in a node's directory.
pub const FILE: &str = "node.toml";

impl Config {
    /// Lanes of all attempts that may run at one time.
    pub(crate) fn most_lanes(&self) -> usize {
        match self.lanes {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            lanes => lanes as usize,
        }
    }

    /// Reads the file of a node's directory and the environment.
    ///
    /// # Errors
    /// No such file, unknown keys, values that make no sense.
    pub fn load(home: &Path) -> Result<Config, NodeError> {
        let path = home.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|e| NodeError::file(&path, "reading", e))?;
        Self::parse(&text, |key| std::env::var(key).ok())
    }

    /// The configuration of a text, keys overridden by what `variable` has of their names in capitals after `PRIVITY_`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Config, NodeError> {
        let bad = |problem: String| NodeError::Config { problem };
        // A line that is wrong is not shown: it may be that of the database, with a password.
        let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().and_then(|span| text.get(..span.start)).map_or(1, |before| before.split('\n').count());
            bad(format!("line {line}: {}", e.message()))
        })?;
        for key in [
            "organisation",
            "operator",
            "listen",
            "address",
            "admin",
            "origin",
            "monitor",
            "traces",
            "helper",
            "relay",
            "keys",
            "database",
            "max_running",
            "lanes",
            "project_running",
            "attempt_hours",
            "certificate_hours",
        ] {
            let name = format!("PRIVITY_{}", key.to_uppercase());
            if let Some(value) = variable(&name) {
                let parsed = match key {
                    "helper" | "relay" => value.parse().map(toml::Value::Boolean).map_err(|_| "neither true nor false"),
                    "certificate_hours" | "max_running" | "lanes" | "project_running" | "attempt_hours" => {
                        value.parse().map(toml::Value::Integer).map_err(|_| "no number")
                    }
                    _ => Ok(toml::Value::String(value.clone())),
                };
                let parsed = parsed.map_err(|why| bad(format!("{name} is {value:?}, {why}")))?;
                table.insert(key.into(), parsed);
            }
        }
        crate::oidc::overridden(&mut table, &variable).map_err(bad)?;
        let mut config: Config = table.try_into().map_err(|e: toml::de::Error| bad(e.to_string()))?;
        if config.address.is_empty() {
            config.address = config.listen.clone();
        }
        if config.operator.is_empty() {
            config.operator = config.organisation.clone();
        }
        if !config.origin.is_empty() {
            config.origin = origin(&config.origin).map_err(bad)?;
        }
        config.check()?;
        if let Some(oidc) = &mut config.oidc {
            oidc.complete(&config.admin, &config.origin).map_err(bad)?;
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), NodeError> {
        let bad = |problem: String| Err(NodeError::Config { problem });
        for (key, name) in [("organisation", &self.organisation), ("operator", &self.operator)] {
            if !is_name(name) {
                return bad(format!("{key} is {name:?}: use letters, digits, -, _ and ., at most 64"));
            }
        }
        self.check_reached()?;
        match self.admin.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => {}
            _ => {
                return bad(format!(
                    "admin is {:?}: write a loopback address and a port, such as 127.0.0.1:7700",
                    self.admin
                ));
            }
        }
        if !self.monitor.is_empty() && self.monitor.parse::<SocketAddr>().is_err() {
            return bad(format!(
                "monitor is {:?}: write an IP address and a port, such as 127.0.0.1:9464",
                self.monitor
            ));
        }
        if let (false, Err(remedy)) = (self.traces.is_empty(), crate::traces::check(&self.traces)) {
            return bad(format!("traces: {remedy}"));
        }
        self.database.check()?;
        if !(1..=1000).contains(&self.max_running) {
            return bad(format!("max_running is {}: write 1 to 1000", self.max_running));
        }
        if !(1..=24 * 30).contains(&self.attempt_hours) {
            return bad(format!("attempt_hours is {}: write 1 to 720", self.attempt_hours));
        }
        if !(1..=24 * 90).contains(&self.certificate_hours) {
            return bad(format!("certificate_hours is {}: write 1 to 2160", self.certificate_hours));
        }
        Ok(())
    }

    /// Whether others reach it through relays only.
    pub(crate) fn only_dials(&self) -> bool {
        !privity_net::relay::relays(&self.address).is_empty()
    }

    /// Others reach it at a port of its own or through a relay, not both.
    fn check_reached(&self) -> Result<(), NodeError> {
        let bad = |problem: String| Err(NodeError::Config { problem });
        let (listen, address) = (&self.listen, &self.address);
        // `--outbound-only relay:a:7443` names a host that none has.
        let nested = privity_net::relay::relays(address).iter().any(|relay| relay.starts_with("relay:"));
        if self.only_dials() && !nested {
            if !listen.is_empty() {
                return bad(format!(
                    "listen is {listen:?} and address {address:?}: a node that is reached through a relay only dials out, with listen = \"\""
                ));
            }
            if self.relay {
                return bad(format!("relay is true and address {address:?}: a relay is reached at a port of its own"));
            }
            return Ok(());
        }
        if address.starts_with("relay:") {
            return bad(format!(
                "address is {address:?}: write relay:host:port of one relay, or relay:host:port,host:port of two"
            ));
        }
        if listen.parse::<SocketAddr>().is_err() {
            return bad(format!(
                "listen is {listen:?}: write an IP address and a port, such as 0.0.0.0:7443, or \"\" with an address relay:host:port"
            ));
        }
        let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
        if port.and_then(|port| port.parse::<u16>().ok()).is_none() {
            return bad(format!("address is {address:?}: write host:port, as other organisations reach it"));
        }
        Ok(())
    }
}

/// An origin as browsers write it.
fn origin(text: &str) -> Result<String, String> {
    let bad = || {
        format!("origin is {text:?}: write https:// and the name of the proxy, such as https://privity.bank-a.example")
    };
    let url = reqwest::Url::parse(text).map_err(|_| bad())?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let nobody = url.username().is_empty() && url.password().is_none();
    // Names of this machine have no TLS here, and cookies and rules of their own.
    let named = url.host_str().is_some_and(|host| !crate::admin::is_loopback(host));
    match url.scheme() == "https" && plain && nobody && named {
        true => Ok(url.origin().ascii_serialization()),
        false => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "organisation = \"bank-a\"\nlisten = \"127.0.0.1:7443\"\n";

    #[test]
    fn every_key_has_a_variable() {
        let plain = Config::parse(LEAST, |_| None).expect("a configuration");
        assert_eq!((plain.operator.as_str(), plain.address.as_str()), ("bank-a", "127.0.0.1:7443"));
        let value = |key: &str| match key {
            "PRIVITY_ORGANISATION" | "PRIVITY_OPERATOR" => Some("other".into()),
            "PRIVITY_LISTEN" | "PRIVITY_ADMIN" | "PRIVITY_MONITOR" => Some("127.0.0.9:1".to_owned()),
            "PRIVITY_ADDRESS" => Some("other.example:2".into()),
            "PRIVITY_ORIGIN" => Some("https://Privity.Bank-A.example:443/".into()),
            "PRIVITY_TRACES" => Some("http://127.0.0.9:1".into()),
            "PRIVITY_HELPER" | "PRIVITY_RELAY" => Some("true".into()),
            "PRIVITY_KEYS" => Some("file:elsewhere".into()),
            "PRIVITY_DATABASE" => Some("postgres://privity@127.0.0.1/privity".into()),
            "PRIVITY_CERTIFICATE_HOURS" | "PRIVITY_MAX_RUNNING" | "PRIVITY_ATTEMPT_HOURS" => Some("7".into()),
            "PRIVITY_PROJECT_RUNNING" | "PRIVITY_LANES" => Some("6".into()),
            _ => None,
        };
        let changed = toml::Table::try_from(Config::parse(LEAST, value).expect("a configuration")).expect("TOML");
        let plain = toml::Table::try_from(plain).expect("TOML");
        assert_eq!(changed.len(), 17);
        assert_eq!(changed["origin"].as_str(), Some("https://privity.bank-a.example"));
        assert!(changed.iter().all(|(key, value)| plain[key] != *value), "{changed:?}");
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("admin = \"0.0.0.0:7700\"", "admin"),
            ("address = \"nowhere\"", "address"),
            ("monitor = \"everywhere\"", "monitor"),
            ("traces = \"http://collector.example:4318\"", "traces"),
            ("operator = \"a b\"", "operator"),
            ("origin = \"http://privity.bank-a.example\"", "origin"),
            ("origin = \"https://privity.bank-a.example/dashboard\"", "origin"),
            ("origin = \"https://ann@privity.bank-a.example\"", "origin"),
            ("origin = \"https://localhost:8443\"", "origin"),
            ("origin = \"privity.bank-a.example\"", "origin"),
            ("certificate_hours = 0", "certificate_hours"),
            ("max_running = 0", "max_running"),
            ("project_running = -1", "u32"),
            ("attempt_hours = 0", "attempt_hours"),
            ("database = \"mysql://u:s3cret@x/y\"", "database"),
            ("database = \"postgres://u:s3cret@x:y/z", "line 3"),
            ("database = \"postgres://u:s3cret@x:y/z\"", "database"),
            ("color = 1", "color"),
            ("relay = 1", "relay"),
            ("address = \"relay:a.example:7443\"", "only dials out"),
        ] {
            let error = Config::parse(&format!("{LEAST}{line}\n"), |_| None).expect_err(line).to_string();
            assert!(error.contains(word) && !error.contains("s3cret"), "{error}");
        }
        let outbound = |more: &str| {
            let text = format!("organisation = \"bank-c\"\nlisten = \"\"\n{more}");
            Config::parse(&text, |_| None).map_err(|e| e.to_string())
        };
        assert!(outbound("address = \"relay:a.example:7443\"\n").is_ok());
        assert!(outbound("address = \"relay:a.example:7443,b.example:7443\"\n").is_ok());
        for more in ["", "address = \"a.example:7443\"\n"] {
            assert!(outbound(more).expect_err(more).contains("listen"), "{more}");
        }
        for more in [
            "relay:7443",
            "relay:a.example:7443,b.example",
            "relay:a.example:1,a.example:1",
            "relay:relay:a.example:1",
            "relay:a.example:1,relay:b.example:1",
        ] {
            let error = outbound(&format!("address = \"{more}\"\n")).expect_err(more);
            assert!(error.contains("of two"), "{error}");
        }
        let both = outbound("address = \"relay:a.example:7443\"\nrelay = true\n");
        assert!(both.expect_err("a relay behind another").contains("port of its own"));
        let error = Config::parse(LEAST, |key| (key == "PRIVITY_HELPER").then(|| "maybe".into()));
        assert!(error.expect_err("no boolean").to_string().contains("PRIVITY_HELPER"));
    }
}
