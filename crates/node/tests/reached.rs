//! A node that only dials out says at `/ready` whether it waits at its relay, as nobody reaches it otherwise.

mod common;

use common::port;
use privity_api::{Member, Project, Statement};
use privity_node::store::Store;
use privity_node::{Config, daemon};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

fn config(home: &Path, name: &str, more: &str) -> Config {
    let own = || format!("127.0.0.1:{}", port());
    let text = format!("organisation = \"{name}\"\nadmin = \"{}\"\nmonitor = \"{}\"\n{more}", own(), own());
    let config = Config::parse(&text, |_| None).expect("a configuration");
    daemon::init(home, &config).expect("a node's directory");
    config
}

fn ready(runtime: &Runtime, config: &Config) -> (u16, String) {
    let url = format!("http://{}/ready", config.monitor);
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.get(url).send().await.expect("the node answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    })
}

fn until(runtime: &Runtime, config: &Config, wanted: u16) -> String {
    let started = Instant::now();
    loop {
        let (status, said) = ready(runtime, config);
        if status == wanted {
            return said;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{status}: {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn who_only_dials_out_is_ready_when_it_waits_at_its_relay() {
    privity_net::control::provide();
    let folder = tempfile::tempdir().expect("a directory");
    let (home_a, home_b) = (folder.path().join("bank-a"), folder.path().join("bank-b"));
    let a = config(&home_a, "bank-a", &format!("listen = \"127.0.0.1:{}\"\nrelay = true\n", port()));
    let b = config(&home_b, "bank-b", &format!("listen = \"\"\naddress = \"relay:{}\"\n", a.address));
    let roots =
        [(&a, &home_a), (&b, &home_b)].map(|(config, home)| privity_keys::open(&config.keys, home).expect("a root"));
    let members: Vec<Member> = [&a, &b]
        .into_iter()
        .zip(&roots)
        .map(|(config, root)| Member {
            organisation: config.organisation.clone(),
            operator: config.operator.clone(),
            root: root.fingerprint(),
            address: config.address.clone(),
            helper: false,
        })
        .collect();
    let project = Project { name: "fraud".into(), founder: "bank-a".into(), version: 1, members };
    let project = Statement::new(project, &*roots[0]).expect("a signature");
    // The relay's node has a runtime of its own, with which it ends.
    let (runtime, relays) = (Runtime::new().expect("a runtime"), Runtime::new().expect("a runtime"));
    runtime.block_on(async {
        for home in [&home_a, &home_b] {
            let store = Store::open(home).await.expect("a database");
            store.put_project(&roots[0].fingerprint(), &project).await.expect("it is kept");
        }
    });
    let own = runtime.block_on(daemon::start(&home_b)).expect("a node");
    let said = until(&runtime, &b, 503);
    assert!(said.contains(&format!("does not wait at its relay {}", a.address)), "{said}");
    let relay = relays.block_on(daemon::start(&home_a)).expect("a node");
    assert_eq!(until(&runtime, &b, 200), "ready\n");
    assert_eq!(ready(&runtime, &a).0, 200, "a node with a port waits nowhere");
    relays.block_on(relay.drain());
    drop(relays);
    assert!(until(&runtime, &b, 503).contains("does not wait at its relay"));
    runtime.block_on(own.drain());
}
