//! Somebody who looks at all tenants without a pause, from one moment of the story to another.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use fleet_tests::world::{World, until};

/// What is printed of each change: what it is, the tenant, and whether it is ready.
const LINE: &str = r#"jsonpath={.type} {.object.metadata.name} {.object.status.conditions[?(@.type=="Ready")].status}{"\n"}"#;

/// How a tenant was at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Ready,
    Unready,
    Gone,
}

/// A watch over the tenants of the management cluster. It ends when this is dropped.
pub struct Watch {
    kubectl: Child,
    seen: PathBuf,
}

impl Watch {
    /// Begins to watch. When this returns, the present state of these tenants has been seen.
    pub fn begin(world: &World, tenants: &[&str]) -> Self {
        let seen = world.path("watched");
        let mut command = Command::new(world.kubectl_program());
        command.arg("--kubeconfig").arg(world.state().join("kubeconfig"));
        command.args(["get", "tenants", "--watch", "--output-watch-events", "-o", LINE]);
        command.stdin(Stdio::null()).stdout(File::create(&seen).unwrap()).stderr(Stdio::null());
        let watch = Self { kubectl: command.spawn().unwrap(), seen };
        until("the watch has begun", || {
            let lines = watch.lines();
            tenants.iter().all(|tenant| lines.iter().any(|(name, _)| name == tenant)).then_some(())
        });
        watch
    }

    /// Ends the watch when it has seen a tenant not ready, and ready after that; gives the tenants that were not ready
    /// at some moment.
    pub fn until_unready_and_ready(mut self, tenant: &str) -> BTreeSet<String> {
        until(&format!("{tenant} was seen to come back"), || {
            let mut lines = self.lines();
            lines.retain(|(name, _)| name == tenant);
            let fell = lines.iter().position(|(_, seen)| *seen == Seen::Unready)?;
            lines[fell..].iter().any(|(_, seen)| *seen == Seen::Ready).then_some(())
        });
        self.unready()
    }

    /// Ends the watch when it has seen a new tenant ready; gives the tenants that were not ready at some moment.
    pub fn until_ready(mut self, tenant: &str) -> BTreeSet<String> {
        until(&format!("{tenant} was seen ready"), || {
            self.lines().contains(&(tenant.to_owned(), Seen::Ready)).then_some(())
        });
        self.unready()
    }

    /// Ends the watch when it has seen a tenant go; gives the tenants that were not ready at some moment.
    pub fn until_gone(mut self, tenant: &str) -> BTreeSet<String> {
        until(&format!("{tenant} was seen to go"), || {
            self.lines().contains(&(tenant.to_owned(), Seen::Gone)).then_some(())
        });
        self.unready()
    }

    fn unready(&mut self) -> BTreeSet<String> {
        assert!(self.kubectl.try_wait().unwrap().is_none(), "the watch ended early");
        let unready = self.lines().into_iter().filter(|(_, seen)| *seen == Seen::Unready);
        unready.map(|(name, _)| name).collect()
    }

    /// Every state that was seen, in order.
    fn lines(&self) -> Vec<(String, Seen)> {
        let seen = fs::read_to_string(&self.seen).unwrap();
        // The last line may still be on its way.
        let whole = seen.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let seen = match (words[0], words[2]) {
                    ("DELETED", _) => Seen::Gone,
                    (_, "True") => Seen::Ready,
                    _ => Seen::Unready,
                };
                (words[1].to_owned(), seen)
            })
            .collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}
