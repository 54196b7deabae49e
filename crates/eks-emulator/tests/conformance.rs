//! boto3 and moto as witnesses: every answer against botocore's model, and the calls that moto has against moto.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod common;

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use common::Fixture;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

/// The interpreter of a virtual environment with the witnesses, outside of the checkout; made once per list of them.
fn python() -> PathBuf {
    let requirements = scripts().join("requirements.txt");
    let mut hash = DefaultHasher::new();
    fs::read(&requirements).unwrap().hash(&mut hash);
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .unwrap();
    let folder = cache.join("fleet").join("python");
    fs::create_dir_all(&folder).unwrap();
    // Another run may be making the same one.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let venv = folder.join(format!("{:016x}", hash.finish()));
    let python = venv.join("bin").join("python");
    if venv.join("ready").exists() {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements));
    File::create(venv.join("ready")).unwrap();
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{command:?}: {error}. The conformance test needs python3 (3.10 or newer) with its `venv` module; on \
             Debian: apt-get install python3 python3-venv"
        )
    });
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_shape_of_the_model_and_differs_from_moto_for_a_reason() {
    let fixture = Fixture::instant().await;
    let operations: Vec<&str> = eks_emulator::operations().collect();
    let url = fixture.running.endpoint_url();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python())
            .arg(scripts().join("conformance.py"))
            .args(["--emulator", &url, "--operations", &operations.join(",")])
            // Nothing of the machine's own AWS set-up, and no compiled files in the checkout.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env_remove("AWS_ENDPOINT_URL")
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
}
