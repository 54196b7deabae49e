//! Control planes for tests: one call starts etcd and a control plane, dropping the result removes everything.

use std::path::Path;

use tempfile::TempDir;

use crate::{
    assets::Assets, control_plane::ControlPlane, error::Error, etcd::Etcd, minor::Minor,
    spec::ControlPlaneSpec,
};

/// The servers of both minors; built when they are missing, which takes minutes and is said on stderr by logs.
///
/// # Errors
/// When they can neither be found nor built.
pub async fn assets() -> Result<Assets, Error> {
    let progress = |progress| tracing::info!("{progress}");
    Assets::ensure(&[Minor::V1_35, Minor::V1_36], &progress).await
}

/// An etcd in a temporary folder, for control planes of a test's own.
#[derive(Debug)]
pub struct TestEtcd {
    /// The servers to start control planes from.
    pub assets: Assets,
    // Before the folder: fields are dropped in order, and a server's files may go only after the server.
    etcd: Etcd,
    dir: TempDir,
}

impl TestEtcd {
    /// Starts etcd.
    ///
    /// # Errors
    /// When it does not become healthy.
    pub async fn start() -> Result<Self, Error> {
        let assets = assets().await?;
        // Not the system's temporary folder as it may be named: a socket's path has to stay short.
        let dir = tempfile::Builder::new()
            .prefix("fleet-")
            .tempdir()
            .map_err(Error::file("make a folder in", std::env::temp_dir()))?;
        let etcd = Etcd::start(&assets, &dir.path().join("etcd")).await?;
        Ok(Self { assets, etcd, dir })
    }

    /// The spec of a control plane over this etcd, with its folder in ours.
    pub fn spec(&self, name: &str, minor: Minor) -> ControlPlaneSpec {
        ControlPlaneSpec::new(name, minor, &self.dir.path().join(name), self.etcd.endpoint())
    }

    /// Starts a control plane over this etcd. Drop it before this.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn control_plane(&self, name: &str, minor: Minor) -> Result<ControlPlane, Error> {
        ControlPlane::start(&self.assets, self.spec(name, minor)).await
    }

    /// The endpoint of etcd.
    pub fn endpoint(&self) -> String {
        self.etcd.endpoint()
    }

    /// The temporary folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// A control plane with an etcd of its own.
#[derive(Debug)]
pub struct TestControlPlane {
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Its etcd, for further control planes.
    pub etcd: TestEtcd,
}

impl TestControlPlane {
    /// Starts a control plane of a minor with a tenant's controllers.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(minor: Minor) -> Result<Self, Error> {
        Self::start_with(minor, |_| ()).await
    }

    /// The same, after `change` has changed the spec.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_with(minor: Minor, change: impl FnOnce(&mut ControlPlaneSpec)) -> Result<Self, Error> {
        let etcd = TestEtcd::start().await?;
        let mut spec = etcd.spec("test", minor);
        change(&mut spec);
        let control_plane = ControlPlane::start(&etcd.assets, spec).await?;
        Ok(Self { control_plane, etcd })
    }
}
