//! Namespaces of the network, each with a link to one bridge.

use super::{NAMES, call};

const BRIDGE: &str = "privity-bridge";
/// A neighbour that is none: whatever is sent to it is lost in silence. No module of the kernel is needed for that.
const NOBODY: &str = "02:00:00:00:00:99";

/// One network of four namespaces. It is removed when this is dropped.
pub struct Lan(());

impl Drop for Lan {
    fn drop(&mut self) {
        remove();
    }
}

/// The namespace of an organisation.
pub fn namespace(member: usize) -> String {
    format!("privity-{}", NAMES[member])
}

/// The address of an organisation.
pub fn address(member: usize) -> String {
    format!("10.231.0.{}", member + 1)
}

/// The end of an organisation's cable at the bridge.
fn cable(member: usize) -> String {
    format!("privity-{member}")
}

fn ip(args: &str) -> Result<(), String> {
    call("ip", &args.split(' ').collect::<Vec<_>>()).map(drop)
}

/// What this run or one that was interrupted has made. What is not there is no failure.
fn remove() {
    for member in 0..NAMES.len() {
        let _ = ip(&format!("link delete {}", cable(member)));
        let _ = ip(&format!("netns delete {}", namespace(member)));
    }
    let _ = ip(&format!("link delete {BRIDGE}"));
}

impl Lan {
    /// Makes it.
    ///
    /// # Errors
    /// The system does not permit it.
    pub fn new() -> Result<Lan, String> {
        remove();
        let lan = Lan(());
        let needs =
            |e| format!("{e}; this needs root, iproute2 and a kernel with network namespaces, veth and bridges");
        ip(&format!("link add {BRIDGE} type bridge")).map_err(needs)?;
        ip(&format!("link set {BRIDGE} up"))?;
        for member in 0..NAMES.len() {
            let (space, cable) = (namespace(member), cable(member));
            ip(&format!("netns add {space}")).map_err(needs)?;
            ip(&format!("link add {cable} type veth peer name eth0 netns {space}")).map_err(needs)?;
            ip(&format!("link set {cable} master {BRIDGE} up"))?;
            ip(&format!("-n {space} link set lo up"))?;
            ip(&format!("-n {space} address add {}/24 dev eth0", address(member)))?;
            ip(&format!("-n {space} link set eth0 up"))?;
        }
        Ok(lan)
    }

    /// Pulls an organisation's cable out, or puts it in again.
    pub fn plug(&self, member: usize, up: bool) -> Result<(), String> {
        ip(&format!("link set {} {}", cable(member), if up { "up" } else { "down" }))
    }

    /// Has all that one sends to another vanish from now on, or arrive again; the other direction works on.
    pub fn lose(&self, from: usize, to: usize, lost: bool) -> Result<(), String> {
        let (space, to) = (namespace(from), address(to));
        match lost {
            true => ip(&format!("-n {space} neighbour replace {to} lladdr {NOBODY} dev eth0 nud permanent")),
            false => ip(&format!("-n {space} neighbour delete {to} dev eth0")),
        }
    }
}
